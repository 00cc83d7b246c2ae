import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { giveSession, newSessionId, receiveFile } from '../../link/channel/hand-over.js';
import { MovePackets } from '../../link/channel/move-packets.js';
import { parseHostAddress } from '../../link/dial/host-address.js';
import { openByteStream } from '../../link/dial/open-byte-stream.js';
import { movesService } from '../../link/grpc/host-service.js';
import { decodeOffer, MOVE, type MoveOffer } from '../../proto/session/moves.js';
import { objectBody } from '../../proto/wire/packet.js';

/** A session that no host has. Its program has the sealed file, and the key in its memory. */
export class KeptSession {
  readonly offer: MoveOffer;
  readonly #folder: string;
  readonly #path: string;
  readonly #key: Uint8Array;
  readonly #remove = () => this.forget();

  private constructor(offer: MoveOffer, folder: string, path: string, key: Uint8Array) {
    this.offer = offer;
    this.#folder = folder;
    this.#path = path;
    this.#key = key;
    process.on('exit', this.#remove);
  }

  /**
   * Takes the session from its host, if it is at rest.
   *
   * @param wants whether the session is as its program knows it. Called last: once it has returned true, no host has the
   *   session.
   * @throws Error (rejects) with the reason. Then the host still has it.
   */
  static async take(
    url: string,
    sessionId: string,
    wants: (offer: MoveOffer) => boolean,
  ): Promise<KeptSession> {
    const packets = await packetsTo(url);
    const folder = mkdtempSync(join(tmpdir(), 'farlight-kept-'));
    const path = join(folder, 'session');
    try {
      await packets.send(MOVE.fetch, objectBody({ sessionId }));
      const offer = decodeOffer(await packets.expect(MOVE.offer));
      await packets.send(MOVE.ready);
      const key = await receiveFile(packets, path, offer.bytes);
      if (!wants(offer)) throw new Error('the program has gone on');
      // If this does not arrive, the host ends the session, since its client does not come back.
      await packets.send(MOVE.taken).catch(() => {});
      return new KeptSession(offer, folder, path, key);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    } finally {
      packets.end();
    }
  }

  /** Hands the session to a host. Resolves to its id there. @throws Error (rejects) with the reason. Then it is still here. */
  async bring(url: string): Promise<string> {
    const sessionId = newSessionId();
    const packets = await packetsTo(url);
    try {
      await giveSession(packets, { ...this.offer, sessionId }, { path: this.#path, key: this.#key });
    } finally {
      packets.close();
    }
    return sessionId;
  }

  /** Removes the file. */
  forget(): void {
    process.off('exit', this.#remove);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function packetsTo(url: string): Promise<MovePackets> {
  const address = parseHostAddress(url, { tls: true });
  return new MovePackets(await openByteStream(address, movesService().Open));
}
