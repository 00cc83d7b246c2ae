import { open } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { MovePackets } from '../../../link/channel/move-packets.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { FarlightError, messageOf, ProtocolError } from '../../../proto/errors.js';
import type { ParkedPlace } from '../../../proto/session/executor-messages.js';
import { decodeOffer, MOVE, type MoveOffer } from '../../../proto/session/moves.js';
import { objectBody } from '../../../proto/wire/packet.js';
import type { Admission, KnownClient, Peer } from '../../trust/admission.js';
import { KEY_BYTES, type ParkedStore } from './parked-store.js';

/** A session that is being brought back for the first time at this host. */
export interface Arriving {
  /** Resolves when the session's objects are made again. Rejects with the reason where they cannot be. */
  readonly awake: Promise<void>;
  /** Ends the session, if it has not ended. */
  giveUp(): void;
}

export interface ArrivalsOptions {
  /** The tenant whose tokens hosts show that may hand sessions over. */
  from: string;
  admission: Admission;
  store: ParkedStore;
  /** Why the host cannot take the session; undefined where it can. */
  refusal(offer: MoveOffer): string | undefined;
  /** Begins the session, and brings it back. Its client comes later. */
  begin(offer: MoveOffer, host: KnownClient, place: ParkedPlace): Arriving;
}

/** Takes sessions that other hosts hand over. */
export class Arrivals {
  readonly #options: ArrivalsOptions;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
  }

  /** The host that shows a token. @throws FarlightError UNAUTHORIZED */
  admit(token: string | undefined, peer: Peer): KnownClient {
    const { admission, from } = this.#options;
    const host = admission.admit(token, peer);
    if (host.tenant === from) return host;
    throw new FarlightError(
      'UNAUTHORIZED',
      `the host takes sessions from hosts of the tenant ${from} alone; write a token of that tenant into --move-to`,
    );
  }

  /** Takes one session from another host. Never rejects: the other host is told the reason, if it is there. */
  async receive(stream: Duplex, host: KnownClient): Promise<void> {
    const packets = new MovePackets(stream);
    let arriving: Arriving | undefined;
    let place: ParkedPlace | undefined;
    try {
      const offer = decodeOffer(await packets.expect(MOVE.offer));
      place = { path: this.#admit(offer), key: new Uint8Array(KEY_BYTES) };
      await packets.send(MOVE.ready);
      const key = await receiveFile(packets, place.path, offer.bytes);
      arriving = this.#options.begin(offer, host, { ...place, key });
      // The session owns the file from now on.
      place = undefined;
      await Promise.race([arriving.awake, closed(stream)]);
      await packets.send(MOVE.taken);
      packets.end();
    } catch (error) {
      arriving?.giveUp();
      if (place) this.#options.store.remove(place);
      // The other host keeps the session, also where it does not hear of this.
      await packets.send(MOVE.refused, objectBody({ message: messageOf(error) })).catch(() => {});
      packets.end();
    }
  }

  /** Makes room for the file. @throws Error where the session cannot be taken. */
  #admit(offer: MoveOffer): string {
    if (offer.version !== packageVersion())
      throw new Error(`it has Farlight ${packageVersion()}, and the session was stored by ${offer.version}`);
    const refusal = this.#options.refusal(offer);
    if (refusal !== undefined) throw new Error(refusal);
    const path = this.#options.store.receive(offer.bytes);
    if (path === undefined) throw new Error('its disk space for parked sessions is full (--park-size)');
    return path;
  }
}

/** Writes the file, and returns its key. @throws Error (rejects) where it is not as long as was said. */
async function receiveFile(packets: MovePackets, path: string, bytes: number): Promise<Uint8Array> {
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

/** Rejects when the other host has gone. */
function closed(stream: Duplex): Promise<never> {
  return new Promise((_, reject) => {
    const gone = () => reject(new Error('the other host has gone'));
    if (stream.destroyed) gone();
    stream.once('close', gone);
  });
}
