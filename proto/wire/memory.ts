import { LIMITS, WINDOW_FRAMES } from './limits.js';

/** From this many bytes on, clearing memory takes longer than other ways to get it. */
const LARGE_BYTES = 64 << 10;

/** Absent outside Node. */
const { Buffer: NodeBuffer } = globalThis as { Buffer?: { allocUnsafeSlow(bytes: number): Uint8Array } };

/** New memory with undefined contents, for bytes that are all written before any is read. */
export function uncleared(bytes: number): Uint8Array<ArrayBuffer> {
  if (!NodeBuffer || bytes < LARGE_BYTES) return new Uint8Array(bytes);
  return new Uint8Array(ofThisRealm(NodeBuffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer));
}

/** Makes an ArrayBuffer of another realm an `instanceof` of this realm's ArrayBuffer. */
export function ofThisRealm(buffer: ArrayBuffer): ArrayBuffer {
  return buffer instanceof ArrayBuffer ? buffer : Object.setPrototypeOf(buffer, ArrayBuffer.prototype);
}

/** The memory of each long frame, with room for its packet's header. */
const FRAME_MEMORY_BYTES = LIMITS.frameBytes + 64;
/** A frame up to this length has memory of just its length. */
const LONG_FRAME_BYTES = LIMITS.frameBytes / 2;
/** Spare memory, which the garbage collector may take at any time. */
let spares: WeakRef<ArrayBuffer[]> | undefined;

/**
 * Memory for one frame alone, with undefined contents. A long frame may get memory that another frame had before. New
 * memory must be cleared, and touched page by page, and dropped memory must be collected: each costs as much as copying
 * the bytes.
 */
export function frameMemory(bytes: number): Uint8Array<ArrayBuffer> {
  if (bytes <= LONG_FRAME_BYTES || bytes > FRAME_MEMORY_BYTES) return uncleared(bytes);
  const buffer = spares?.deref()?.pop() ?? uncleared(FRAME_MEMORY_BYTES).buffer;
  return new Uint8Array(buffer, 0, bytes);
}

/** Whether these bytes are in the memory of a long frame, which holds nothing else. */
export function hasFrameMemory({ buffer }: Uint8Array): boolean {
  return buffer.byteLength === FRAME_MEMORY_BYTES;
}

/** Gives a frame's memory back for other frames. Nobody may read the frame any more. */
export function spareFrame(frame: Uint8Array): void {
  if (!hasFrameMemory(frame)) return;
  let list = spares?.deref();
  if (!list) {
    list = [];
    spares = new WeakRef(list);
  }
  if (list.length < WINDOW_FRAMES) list.push(frame.buffer as ArrayBuffer);
}
