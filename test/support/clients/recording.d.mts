import type { Transport } from '#farlight/testing/index.js';

/** A frame that a client sent, when so many frames of replies had come. */
export interface RecordedFrame {
  bytes: Uint8Array;
  after: number;
}

/** The transport, with what its client sends put into `frames`. */
export function recording(transport: Transport, frames: RecordedFrame[]): Transport;
