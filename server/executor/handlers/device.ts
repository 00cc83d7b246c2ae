import type { FarlightErrorType, FarlightGPUError } from '../../../proto/gen/operations.js';
import { textureBytes } from '../../../proto/texture-size.js';
import { exceedsBuffer, exceedsTexture, type MemoryRequest } from '../limits/gpu-memory.js';
import { describeError } from '../objects/error-scopes.js';
import type { Entry } from '../objects/object-table.js';
import type { Awaited, Context } from './context.js';

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
  // Copied: the command's slots are emptied before memory may come for it.
  const own = { ...descriptor };
  const make = () => device.createBuffer(own);
  const exceeds = () => exceedsBuffer(device.limits, own);
  const request = { what: 'GPUDevice.createBuffer', bytes: own.size, exceeds, make };
  return hold(context, self, made, request, () => void context.uploads.unmade.add(made));
}

/**
 * Makes what takes GPU memory: at once, or when the host has granted more of it, and what comes next waits for that.
 * `failed` is called where it cannot be made.
 */
function hold<T extends object>(
  context: Context,
  self: Entry,
  made: Entry,
  request: MemoryRequest<T>,
  failed?: () => void,
): T {
  const { memory } = context;
  const make = () => {
    try {
      return memory ? memory.hold(request) : request.make();
    } catch (error) {
      failed?.();
      throw error;
    }
  };
  if (!memory || memory.fits(request.bytes) || request.exceeds()) return make();
  context.later(self, memory.more(request.bytes), () => {
    made.object = make();
  });
  return context.standIn(self, [made.kind]) as T;
}

export function createTexture(
  context: Context,
  self: Entry,
  [descriptor]: [GPUTextureDescriptor],
  made: Entry,
): GPUTexture {
  const device = deviceOf(self);
  const own = { ...descriptor };
  const make = () => device.createTexture(own);
  const exceeds = () => exceedsTexture(device.limits, own);
  return hold(context, self, made, {
    what: 'GPUDevice.createTexture',
    bytes: textureBytes(own),
    exceeds,
    make,
  });
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
