import type { Hello, SessionEndCode, Welcome } from './handshake.js';

/**
 * The longest frame that a session stream carries, in bytes. Both sides set it as gRPC's limit on a
 * message, so a longer one is refused before it is read.
 */
export const STREAM_FRAME_LIMIT = 8 * 1024 * 1024;

/** gRPC's limit on a message: the longest frame and room for what is around it. */
export const STREAM_MESSAGE_LIMIT = STREAM_FRAME_LIMIT + 1024;

export type ClientMessage = { hello: Hello } | { commands: Uint8Array };

export type HostMessage =
  | { welcome: Welcome }
  | { replies: Uint8Array }
  | { end: { code: SessionEndCode; message: string } };

/**
 * Field 2 of both ClientMessage (`commands`) and HostMessage (`replies`), as a protobuf tag: field
 * number 2, length-delimited.
 */
const FRAME_TAG = 0x12;

/**
 * A message that holds nothing but a frame, in protobuf's encoding. Written by hand because nearly
 * every message is one, and a general encoder would copy the frame once more.
 */
export function encodeFrame(frame: Uint8Array): Uint8Array {
  let length = frame.length;
  const head = [FRAME_TAG];
  while (length > 0x7f) {
    head.push((length & 0x7f) | 0x80);
    length >>>= 7;
  }
  head.push(length);
  const message = new Uint8Array(head.length + frame.length);
  message.set(head);
  message.set(frame, head.length);
  return message;
}

/**
 * The frame, as a view, of a message that holds nothing but one; undefined for any other message,
 * which is for a general decoder to read (or to refuse).
 */
export function decodeFrame(message: Uint8Array): Uint8Array | undefined {
  if (message[0] !== FRAME_TAG) return undefined;
  let length = 0;
  let at = 1;
  for (let shift = 0; ; shift += 7) {
    const byte = message[at++];
    // Five bytes hold every length there can be; a longer spelling is left to the general decoder.
    if (byte === undefined || shift > 28) return undefined;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) break;
  }
  return at + length === message.length ? message.subarray(at) : undefined;
}
