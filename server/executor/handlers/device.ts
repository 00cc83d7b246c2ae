import type { FarlightErrorType, FarlightGPUError } from '../../../proto/gen/operations.js';
import type { Awaited, Context } from '../context.js';
import { describeError } from '../error-scopes.js';
import type { Entry } from '../objects.js';

const deviceOf = (self: Entry) => self.object as GPUDevice;

export function getQueue(_context: Context, self: Entry): GPUQueue {
  return deviceOf(self).queue;
}

export function pushErrorScope(context: Context, self: Entry, [filter]: [FarlightErrorType]): void {
  deviceOf(self).pushErrorScope(filter);
  context.scopes(self).push(filter);
}

export function popErrorScope(context: Context, self: Entry): Awaited {
  const ours = context.scopes(self).pop();
  const reply = (error: GPUError | null): FarlightGPUError<never> | null =>
    error ? describeError(error) : (ours ?? null);
  return { promise: deviceOf(self).popErrorScope(), reply };
}

export function createRenderPipelineAsync(
  _context: Context,
  self: Entry,
  [descriptor]: [GPURenderPipelineDescriptor],
  made: Entry,
): Awaited {
  const reply = (pipeline: GPURenderPipeline) => {
    made.object = pipeline;
  };
  return { promise: deviceOf(self).createRenderPipelineAsync(descriptor), reply };
}

export function createComputePipelineAsync(
  _context: Context,
  self: Entry,
  [descriptor]: [GPUComputePipelineDescriptor],
  made: Entry,
): Awaited {
  const reply = (pipeline: GPUComputePipeline) => {
    made.object = pipeline;
  };
  return { promise: deviceOf(self).createComputePipelineAsync(descriptor), reply };
}
