import { FramePace } from '../canvas/frame-pace.js';

const { requestAnimationFrame, cancelAnimationFrame } = globalThis;

/** The frames of this page, or of this worker. */
export const pace = new FramePace({
  request: (callback) => requestAnimationFrame.call(globalThis, callback),
  cancel: (id) => cancelAnimationFrame.call(globalThis, id),
});
