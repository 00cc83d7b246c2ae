import type { Socket } from 'node:net';

/** The window of a stream where a client names none (RFC 9113, section 6.5.2). */
const DEFAULT_WINDOW = 65_535;
/** The client's preface (section 3.4). A frame of settings follows it. */
const PREFACE_BYTES = 24;
const FRAME_HEADER_BYTES = 9;
const SETTING_BYTES = 6;
const SETTINGS = 4;
const INITIAL_WINDOW_SIZE = 4;

/**
 * Whether the client takes more bytes of an answer than HTTP/2 allows by itself. It says so in its first bytes, which stay
 * unread. Where they are not all there, it is taken to.
 */
export function hasWideWindow(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      resolve(windowIn(first) > DEFAULT_WINDOW);
    });
    socket.once('close', () => resolve(false));
  });
}

/** The window in the settings that begin a connection; infinite where they are not whole. */
export function windowIn(first: Buffer): number {
  const frame = first.subarray(PREFACE_BYTES);
  if (frame.length < FRAME_HEADER_BYTES || frame[3] !== SETTINGS) return Number.POSITIVE_INFINITY;
  const length = frame.readUIntBE(0, 3);
  const settings = frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length);
  if (settings.length < length) return Number.POSITIVE_INFINITY;
  let window = DEFAULT_WINDOW;
  for (let at = 0; at + SETTING_BYTES <= length; at += SETTING_BYTES)
    if (settings.readUInt16BE(at) === INITIAL_WINDOW_SIZE) window = settings.readUInt32BE(at + 2);
  return window;
}
