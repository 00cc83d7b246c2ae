import type { ByteStream } from '../channel/byte-stream.js';

/** A page has no sockets: streams are as they are. */
export const DirectSocket = {
  over: (stream: ByteStream): ByteStream => stream,
};
