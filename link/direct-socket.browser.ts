import type { ByteStream } from './byte-stream.js';

/** A page has no sockets: streams are as they are. */
export const DirectSocket = {
  over: (stream: ByteStream): ByteStream => stream,
};
