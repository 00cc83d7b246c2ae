import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { IterableWeakSet } from '../../api/iterable-weak-set.js';
import { whenTaskEnds } from '../../session/process/task-end.js';
import { FrameClock, type Timers } from './frame-clock.js';
import { type FrameCallback, FramePace } from './frame-pace.js';

/** Canvases whose frame has begun and not ended. */
export const beingDrawn: IterableWeakSet<{ endFrame(): void }> = new IterableWeakSet();

const timers = { now: monotonicNow, setTimeout, clearTimeout, whenTaskEnds } as Timers;
const clock = new FrameClock(timers, () => {
  for (const canvas of beingDrawn.members()) canvas.endFrame();
});

/**
 * The frames of this thread. They are held back while the GPU, or a program that takes them, is slower than
 * 60 a second.
 */
export const pace: FramePace = new FramePace(clock);

/** As in a page. When the callbacks of a frame have run, the frame of every canvas that was drawn to ends. */
export function requestAnimationFrame(callback: FrameCallback): number {
  return pace.request(callback);
}

export function cancelAnimationFrame(id: number): void {
  pace.cancel(id);
}
