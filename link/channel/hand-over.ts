import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { ProtocolError } from '../../proto/errors.js';
import type { ParkedPlace } from '../../proto/session/executor-messages.js';
import { MOVE, type MoveOffer } from '../../proto/session/moves.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { objectBody } from '../../proto/wire/packet.js';
import type { MovePackets } from './move-packets.js';

/** How long the other end may take to have a session, in milliseconds: a host compiles its pipelines again. */
const TAKE_MS = 120_000;

/** Of the key of a sealed file. */
export const KEY_BYTES = 32;

/** The random bytes of a session's id. It is hard to guess, because a client that knows it can resume the session. */
const ID_BYTES = 18;

export function newSessionId(): string {
  return randomBytes(ID_BYTES).toString('base64url');
}

/**
 * Hands a stored session over. Resolves when the other end has it.
 *
 * @throws Error (rejects) with the reason. Then this end has it.
 */
export async function giveSession(
  packets: MovePackets,
  offer: MoveOffer,
  { path, key }: ParkedPlace,
): Promise<void> {
  await packets.send(MOVE.offer, objectBody(offer));
  await packets.expect(MOVE.ready);
  for await (const piece of createReadStream(path, { highWaterMark: LIMITS.frameBytes }))
    await packets.send(MOVE.file, piece);
  await packets.send(MOVE.key, key);
  await packets.expect(MOVE.taken, TAKE_MS);
}

/** Writes the file of an offered session. Resolves to its key. @throws Error (rejects) where it is not as long as was said. */
export async function receiveFile(packets: MovePackets, path: string, bytes: number): Promise<Uint8Array> {
  const file = await open(path, 'wx', 0o600);
  try {
    for (let written = 0; ; ) {
      const { kind, body } = await packets.next();
      if (kind === MOVE.key && written === bytes && body.length === KEY_BYTES) return body;
      if (kind !== MOVE.file || written + body.length > bytes)
        throw new ProtocolError('the file of the session is not as long as was said');
      for (let at = 0; at < body.length; ) at += (await file.write(body, at)).bytesWritten;
      written += body.length;
    }
  } finally {
    await file.close();
  }
}
