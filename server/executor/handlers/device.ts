import type { FarlightErrorType, FarlightGPUError } from '../../../proto/gen/operations.js';
import type { Context } from '../context.js';
import { describeError } from '../error-scopes.js';
import type { Entry } from '../objects.js';

const deviceOf = (self: Entry) => self.object as GPUDevice;

export function getQueue({ objects }: Context, self: Entry, _args: [], made: Entry): void {
  objects.settle(made, deviceOf(self).queue);
}

export function pushErrorScope(context: Context, self: Entry, [filter]: [FarlightErrorType]): void {
  deviceOf(self).pushErrorScope(filter);
  context.scopes(self).push(filter);
}

export async function popErrorScope(context: Context, self: Entry): Promise<FarlightGPUError<never> | null> {
  const ours = context.scopes(self).pop();
  const error = await deviceOf(self).popErrorScope();
  return error ? describeError(error) : (ours ?? null);
}

export async function createComputePipelineAsync(
  { objects }: Context,
  self: Entry,
  [descriptor]: [GPUComputePipelineDescriptor],
  made: Entry,
): Promise<void> {
  objects.settle(made, await deviceOf(self).createComputePipelineAsync(descriptor));
}
