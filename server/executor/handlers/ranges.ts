import { invariant } from '../../../proto/errors.js';
import { GPUBufferUsage, GPUMapMode } from '../../../proto/gen/webgpu.js';
import { type Line, MOST_BYTES } from '../lines/line.js';
import type { Entry } from '../objects/object-table.js';
import type { PendingReply } from '../wire/reply-writer.js';
import type { Context } from './context.js';

/** The longest time that a timer can have, in milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

type Range = readonly [buffer: GPUBuffer, offset: number, size: number];

export function accept({ lines }: Context, _self: Entry, [line]: [number]): PendingReply {
  return { promise: lines.accept(line) };
}

export function connect(
  { lines }: Context,
  _self: Entry,
  [line, host, ticket]: [number, string, string],
): PendingReply {
  return { promise: lines.connect(line, host, ticket) };
}

export function close({ lines }: Context, _self: Entry, [line]: [number]): void {
  lines.close(line);
}

/**
 * Copies the range aside at its place in the queue, and sends the copy when the GPU has made it. The commands that come
 * next do not wait for that. The copy takes GPU memory of the session until it is sent.
 */
export function send(context: Context, self: Entry, [number, ...range]: [number, ...Range]): void {
  const { memory, turn } = context;
  const line = context.lines.get(number);
  if (isWrong(context, self, line, 'sendRange', range)) return;
  const [, , size] = range;
  const act = () => sendNow(context, self, line, range);
  if (memory.fits(size) && (turn?.mine ?? true)) {
    act();
    return;
  }
  const ready = memory.fits(size) ? Promise.resolve() : memory.more(size);
  context.later(
    deviceOf(self),
    ready.then(() => (turn?.mine ? undefined : turn?.wait())),
    act,
  );
}

function sendNow(context: Context, self: Entry, line: Line, [buffer, offset, size]: Range): void {
  const owner = deviceOf(self);
  const device = owner.object as GPUDevice;
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  const failed = () => Promise.all([device.popErrorScope(), device.popErrorScope()]);
  let copy: GPUBuffer;
  try {
    copy = context.memory.allocate({
      operation: 'GPUQueue.sendRange',
      bytes: size,
      exceeds: () => size > device.limits.maxBufferSize,
      make: () => device.createBuffer({ label: 'sent range', size, usage: COPY_DST | MAP_READ }),
    });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, copy, 0, size);
    device.queue.submit([encoder.finish()]);
  } catch (error) {
    void failed();
    // The other end would wait for this range.
    line.fail('a range could not be read at its other end');
    throw error;
  }
  context.submitted(device.queue);
  const mapped = copy.mapAsync(GPUMapMode.READ);
  // `sent` throws the error. If it comes to that, the copy or the device have failed already.
  mapped.catch(() => {});
  const read = async () => {
    const error = (await failed()).find((each) => each !== null);
    if (error) {
      line.fail('a range could not be read at its other end');
      context.raise(owner, 'validation', error.message);
    }
    await mapped;
    return new Uint8Array(copy.getMappedRange());
  };
  void line
    .send(size, read())
    .catch((error: Error) => raise(context, owner, 'sendRange', error))
    .finally(() => context.destroy(copy));
}

/** The commands that come next wait until the range has come, unless it is here already. */
export function receive(
  context: Context,
  self: Entry,
  [number, buffer, offset, size, timeout]: [number, ...Range, number],
): void {
  const line = context.lines.get(number);
  if (isWrong(context, self, line, 'receiveRange', [buffer, offset, size])) return;
  const queue = self.object as GPUQueue;
  const write = (at: number, bytes: Uint8Array) =>
    queue.writeBuffer(buffer, offset + at, bytes as Uint8Array<ArrayBuffer>);
  const received = line.receive(size, write, Math.min(timeout, LONGEST_MS));
  if (!received) return;
  const owner = deviceOf(self);
  context.pauseUntil(received.catch((error: Error) => raise(context, owner, 'receiveRange', error)));
}

/** Whether this range can go over no line. Then it is an error of the device, and the line is closed. */
function isWrong(
  context: Context,
  self: Entry,
  line: Line,
  method: string,
  [buffer, offset, size]: Range,
): boolean {
  const isRange =
    size > 0 && size <= MOST_BYTES && size % 4 === 0 && offset % 4 === 0 && offset + size <= buffer.size;
  if (isRange) return false;
  line.fail('a range at its other end was wrong');
  const message = `GPUQueue.${method}: ${size} bytes at ${offset} are no range of a buffer of ${buffer.size} bytes, in multiples of 4.`;
  context.raise(deviceOf(self), 'validation', message);
  return true;
}

/** The line has failed: that is an error of the device, unless the session is over. */
function raise(context: Context, device: Entry, method: string, { message }: Error): void {
  if (!context.devices.has(device)) return;
  context.raise(device, 'internal', `GPUQueue.${method}: the line to another host is closed: ${message}.`);
}

function deviceOf(self: Entry): Entry {
  invariant(self.device, 'a queue has a device');
  return self.device;
}
