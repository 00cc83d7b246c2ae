import { beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { frameMemory, hasFrameMemory, spareFrame } from '#farlight/proto/wire/memory.js';

const LONG = LIMITS.frameBytes - 100;

describe('the memory of frames', () => {
  /** Takes all memory that an earlier test left. */
  beforeEach(() => {
    for (let count = 0; count < 16; count += 1) frameMemory(LONG);
  });

  it('the memory of a spared long frame is reused for any long frame', () => {
    const first = frameMemory(LONG);
    spareFrame(first.subarray(1));
    const next = frameMemory(LIMITS.frameBytes);
    expect(next.buffer).toBe(first.buffer);
    expect([next.byteOffset, next.length]).toEqual([0, LIMITS.frameBytes]);
    expect(frameMemory(LONG).buffer).not.toBe(first.buffer);
  });

  it('memory is reused from long frames only, and from no short frame or other array', () => {
    const others = [frameMemory(1000), new Uint8Array(LIMITS.frameBytes), new Uint8Array(0)];
    for (const other of others) {
      expect(hasFrameMemory(other)).toBe(false);
      spareFrame(other);
    }
    const buffers: unknown[] = others.map(({ buffer }) => buffer);
    expect(buffers).not.toContain(frameMemory(LONG).buffer);
    expect(buffers).not.toContain(frameMemory(1000).buffer);
  });

  it('the memory of a long frame holds a packet around the longest frame', () => {
    expect(hasFrameMemory(frameMemory(LIMITS.frameBytes + 1))).toBe(true);
  });

  it('spare memory is kept for a window of frames, and no more', () => {
    const frames = Array.from({ length: 40 }, () => frameMemory(LONG));
    for (const frame of frames) spareFrame(frame);
    const again = Array.from({ length: 40 }, () => frameMemory(LONG).buffer);
    const buffers = new Set(frames.map(({ buffer }) => buffer));
    expect(again.filter((buffer) => buffers.has(buffer))).toHaveLength(16);
  });
});
