import type {
  FarlightCompilationMessage,
  FarlightErrorType,
  FarlightGPUError,
} from '../../../proto/gen/operations.js';
import { textureBytes } from '../../../proto/texture-size.js';
import { exceedsBuffer, exceedsTexture, type MemoryRequest } from '../limits/gpu-memory.js';
import type { Made } from '../live/made.js';
import type { SourceRange } from '../objects/asides.js';
import { describeError } from '../objects/error-scopes.js';
import type { Entry } from '../objects/object-table.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { PendingReply } from '../wire/reply-writer.js';
import type { Context } from './context.js';

const NOTHING = new Uint8Array(0);

const deviceOf = (self: Entry) => self.object as GPUDevice;

export function getQueue(_context: Context, self: Entry): GPUQueue {
  return deviceOf(self).queue;
}

export function pushErrorScope(context: Context, self: Entry, [filter]: [FarlightErrorType]): void {
  deviceOf(self).pushErrorScope(filter);
  context.devices.of(self).scopes.push(filter);
}

export function popErrorScope(context: Context, self: Entry): PendingReply {
  const opened = context.devices.of(self);
  const ours = opened.scopes.pop();
  const { isLost } = opened;
  const reply = (caught: GPUError | null): FarlightGPUError<never> | null => {
    // A lost device reports no error, not even one that a look found before.
    const earlier = isLost ? undefined : ours?.earlier;
    const error = earlier ?? (caught ? describeError(caught) : ours?.error);
    if (error) opened.caught(error);
    else for (const act of ours?.whenClean ?? []) act();
    return error ?? null;
  };
  return { promise: deviceOf(self).popErrorScope(), reply };
}

/**
 * Copies aside the bytes that the program will probably read next, and looks at its open error scopes. Both come behind
 * all earlier commands. With `done` the reply also waits for the GPU's work, even if there is nothing to copy.
 */
export function readAhead(
  context: Context,
  self: Entry,
  [ranges, scopes, done]: [SourceRange[], number, boolean],
): PendingReply {
  const { device, asides, scopes: open } = context.devices.of(self);
  const clean = open.look(device, scopes);
  // In another tenant's turn a copy is not allowed. The program's own read waits for its turn.
  const mayCopy = context.turn?.mine ?? true;
  const copied = mayCopy ? asides.read(ranges, () => context.submitted(device.queue)) : NOTHING;
  const finished = done ? device.queue.onSubmittedWorkDone() : undefined;
  const brought = asides.expect();
  const reply = ([clean, data]: [number, Uint8Array]) => {
    brought.data = data.length > 0;
    return { clean, data };
  };
  return { promise: Promise.all([clean, copied, finished]), reply };
}

export function destroy(context: Context, self: Entry): void {
  context.devices.of(self).destroyed();
  deviceOf(self).destroy();
}

/** Without memory for it, the buffer is an invalid one, with an error of its device. The client itself maps it. */
export function createBuffer(
  context: Context,
  self: Entry,
  [descriptor]: [GPUBufferDescriptor],
  made: Entry,
): GPUBuffer {
  const device = deviceOf(self);
  // Copied: the command's slots are empty again when memory comes for it.
  const own = { ...descriptor };
  const { copyable } = context.parkable ?? {};
  const create = (as: GPUBufferDescriptor) => device.createBuffer(as);
  const make = () => (copyable ? copyable.buffer(own, create) : create(own));
  const exceeds = () => exceedsBuffer(device.limits, own);
  const request = { operation: 'GPUDevice.createBuffer', bytes: own.size, exceeds, make };
  return allocate(context, self, made, request, () => void context.uploads.unmade.add(made));
}

/**
 * Makes an object that takes GPU memory: at once, or when the host has granted more. Then the commands that come next
 * wait. Calls `failed` where the object cannot be made.
 */
function allocate<T extends object>(
  context: Context,
  self: Entry,
  made: Entry,
  request: MemoryRequest<T>,
  failed?: () => void,
): T {
  const { memory } = context;
  const make = () => {
    try {
      return memory.allocate(request);
    } catch (error) {
      if (made.made) Object.assign(made.made, { isValid: false });
      failed?.();
      throw error;
    }
  };
  if (memory.fits(request.bytes) || request.exceeds()) return make();
  context.later(self, memory.more(request.bytes), () => {
    const opened = context.devices.of(self);
    const { errors } = opened;
    made.object = make();
    if (made.made) opened.judge(made.made as Made<DecodedCommand>, errors);
  });
  return context.invalidObject(self, [made.kind]) as T;
}

export function createTexture(
  context: Context,
  self: Entry,
  [descriptor]: [GPUTextureDescriptor],
  made: Entry,
): GPUTexture {
  const device = deviceOf(self);
  const own = { ...descriptor };
  const { copyable } = context.parkable ?? {};
  const create = (as: GPUTextureDescriptor) => device.createTexture(as);
  const make = () => (copyable ? copyable.texture(own, create) : create(own));
  const exceeds = () => exceedsTexture(device.limits, own);
  return allocate(context, self, made, {
    operation: 'GPUDevice.createTexture',
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
): PendingReply {
  return created(made, deviceOf(self).createComputePipelineAsync(descriptor));
}

export function createRenderPipelineAsync(
  _context: Context,
  self: Entry,
  [descriptor]: [GPURenderPipelineDescriptor],
  made: Entry,
): PendingReply {
  return created(made, deviceOf(self).createRenderPipelineAsync(descriptor));
}

/** The pipeline gets the client's handle when it is there. The reply itself is empty. */
function created(made: Entry, promise: Promise<object>): PendingReply {
  const reply = (pipeline: object) => {
    made.object = pipeline;
  };
  return { promise, reply };
}

export function getCompilationInfo(_context: Context, self: Entry): PendingReply {
  const reply = ({ messages }: GPUCompilationInfo): FarlightCompilationMessage<never>[] =>
    [...messages].map(({ message, type, lineNum, linePos, offset, length }) => ({
      message,
      type,
      lineNum,
      linePos,
      offset,
      length,
    }));
  return { promise: (self.object as GPUShaderModule).getCompilationInfo(), reply };
}
