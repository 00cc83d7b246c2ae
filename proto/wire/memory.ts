import { LIMITS, WINDOW_FRAMES } from './limits.js';

/** Of how many bytes on clearing memory takes longer than taking it another way. */
const LARGE_BYTES = 64 << 10;

/** Absent outside of Node. */
const { Buffer: NodeBuffer } = globalThis as { Buffer?: { allocUnsafeSlow(bytes: number): Uint8Array } };

/** Memory of its own for bytes that all are written before any is read: what is in it at first is undefined. */
export function uncleared(bytes: number): Uint8Array<ArrayBuffer> {
  if (!NodeBuffer || bytes < LARGE_BYTES) return new Uint8Array(bytes);
  return new Uint8Array(ofThisRealm(NodeBuffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer));
}

/** Makes an ArrayBuffer of another realm one of this one, so that it is an `instanceof` for whoever gets it. */
export function ofThisRealm(buffer: ArrayBuffer): ArrayBuffer {
  return buffer instanceof ArrayBuffer ? buffer : Object.setPrototypeOf(buffer, ArrayBuffer.prototype);
}

/** What the memory of each long frame takes, with what a packet has in front of it. */
const FRAME_MEMORY_BYTES = LIMITS.frameBytes + 64;
/** A shorter frame has memory of its length. */
const LONG_FRAME_BYTES = LIMITS.frameBytes / 2;
/** The collector may have it, whenever it comes by. */
let spares: WeakRef<ArrayBuffer[]> | undefined;

/**
 * Memory for a frame, which it shares with no other: what is in it at first is undefined. It may have served
 * before. Memory that the system gives anew has to be cleared and is first touched a page at a time, and that of
 * frames which were dropped keeps the collector busy: each costs as much as copying the bytes.
 */
export function frameMemory(bytes: number): Uint8Array<ArrayBuffer> {
  if (bytes <= LONG_FRAME_BYTES || bytes > FRAME_MEMORY_BYTES) return uncleared(bytes);
  const buffer = spares?.deref()?.pop() ?? uncleared(FRAME_MEMORY_BYTES).buffer;
  return new Uint8Array(buffer, 0, bytes);
}

/** Whether these bytes are a long frame's, all of whose memory is its own. */
export function hasFrameMemory({ buffer }: Uint8Array): boolean {
  return buffer.byteLength === FRAME_MEMORY_BYTES;
}

/** Lets the memory of a frame serve again: nobody may read it any more. */
export function spareFrame(frame: Uint8Array): void {
  if (!hasFrameMemory(frame)) return;
  let list = spares?.deref();
  if (!list) {
    list = [];
    spares = new WeakRef(list);
  }
  if (list.length < WINDOW_FRAMES) list.push(frame.buffer as ArrayBuffer);
}
