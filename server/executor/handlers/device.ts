import type { FarlightErrorType, FarlightGPUError } from '../../../proto/gen/operations.js';
import { textureBytes } from '../../../proto/texture-size.js';
import type { Awaited, Context } from '../context.js';
import { describeError } from '../error-scopes.js';
import { exceedsBuffer, exceedsTexture } from '../gpu-memory.js';
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
  const reply = (caught: GPUError | null): FarlightGPUError<never> | null => {
    const error = caught ? describeError(caught) : ours?.error;
    if (error) context.opened(self).caught(error);
    else for (const act of ours?.whenClean ?? []) act();
    return error ?? null;
  };
  return { promise: deviceOf(self).popErrorScope(), reply };
}

export function destroy(context: Context, self: Entry): void {
  context.opened(self).destroyed();
  deviceOf(self).destroy();
}

/** A buffer that cannot be had is an invalid one with an error of its device; its mapping is the client's matter. */
export function createBuffer(
  context: Context,
  self: Entry,
  [descriptor]: [GPUBufferDescriptor],
  made: Entry,
): GPUBuffer {
  const device = deviceOf(self);
  const make = () => device.createBuffer(descriptor);
  try {
    const { memory } = context;
    if (!memory) return make();
    const exceeds = () => exceedsBuffer(device.limits, descriptor);
    return memory.hold({ what: 'GPUDevice.createBuffer', bytes: descriptor.size, exceeds, make });
  } catch (error) {
    context.uploads.unmade.add(made);
    throw error;
  }
}

export function createTexture(
  { memory }: Context,
  self: Entry,
  [descriptor]: [GPUTextureDescriptor],
): GPUTexture {
  const device = deviceOf(self);
  const make = () => device.createTexture(descriptor);
  if (!memory) return make();
  const exceeds = () => exceedsTexture(device.limits, descriptor);
  return memory.hold({ what: 'GPUDevice.createTexture', bytes: textureBytes(descriptor), exceeds, make });
}

export function createComputePipelineAsync(
  _context: Context,
  self: Entry,
  [descriptor]: [GPUComputePipelineDescriptor],
  made: Entry,
): Awaited {
  return created(made, deviceOf(self).createComputePipelineAsync(descriptor));
}

export function createRenderPipelineAsync(
  _context: Context,
  self: Entry,
  [descriptor]: [GPURenderPipelineDescriptor],
  made: Entry,
): Awaited {
  return created(made, deviceOf(self).createRenderPipelineAsync(descriptor));
}

/** The client's handle is good once the pipeline is there; the reply itself is empty. */
function created(made: Entry, promise: Promise<object>): Awaited {
  const reply = (pipeline: object) => {
    made.object = pipeline;
  };
  return { promise, reply };
}
