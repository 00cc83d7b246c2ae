import type { Duplex } from 'node:stream';
import { KEY_BYTES, receiveFile } from '../../../link/channel/hand-over.js';
import { type MovePacket, MovePackets } from '../../../link/channel/move-packets.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { FarlightError, messageOf, ProtocolError } from '../../../proto/errors.js';
import type { ParkedPlace } from '../../../proto/session/executor-messages.js';
import { decodeOffer, MOVE, type MoveOffer } from '../../../proto/session/moves.js';
import { decodeObject, objectBody } from '../../../proto/wire/packet.js';
import type { Admission, KnownClient, Peer } from '../../trust/admission.js';
import type { ParkedStore } from './parked-store.js';

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
  /** Parks a session of this host, and hands it over. Rejects with the reason; then the session stays. */
  give(sessionId: string, client: KnownClient, packets: MovePackets): Promise<void>;
  /** Begins the session, and brings it back. Its client comes later. */
  begin(offer: MoveOffer, host: KnownClient, place: ParkedPlace): Arriving;
}

/** Takes sessions that other hosts hand over, and gives sessions to their own clients, which bring them to another host. */
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

  /**
   * Takes one session from another host, or gives one to its own client. Never rejects: the other end is told the reason, if
   * it is there.
   */
  async receive(stream: Duplex, host: KnownClient): Promise<void> {
    const packets = new MovePackets(stream);
    const first = await packets.next().catch(() => undefined);
    if (first?.kind === MOVE.fetch) await this.#give(packets, host, first.body);
    else await this.#take(packets, stream, host, first);
  }

  /** Hands a session of this host to its own client. */
  async #give(packets: MovePackets, client: KnownClient, body: Uint8Array): Promise<void> {
    try {
      const { sessionId } = decodeObject(body);
      await this.#options.give(String(sessionId), client, packets);
    } catch (error) {
      await packets.send(MOVE.refused, objectBody({ message: messageOf(error) })).catch(() => {});
    }
    packets.end();
  }

  async #take(
    packets: MovePackets,
    stream: Duplex,
    host: KnownClient,
    first: MovePacket | undefined,
  ): Promise<void> {
    let arriving: Arriving | undefined;
    let place: ParkedPlace | undefined;
    try {
      if (first?.kind !== MOVE.offer) throw new ProtocolError('an offer of a session was expected');
      const offer = decodeOffer(first.body);
      place = { path: await this.#admit(offer), key: new Uint8Array(KEY_BYTES) };
      await packets.send(MOVE.ready);
      const key = await receiveFile(packets, place.path, offer.bytes);
      this.#check(offer);
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

  /** Makes room for the file. Resolves to its path. @throws Error (rejects) where the session cannot be taken. */
  async #admit(offer: MoveOffer): Promise<string> {
    if (offer.version !== packageVersion())
      throw new Error(`it has Farlight ${packageVersion()}, and the session was stored by ${offer.version}`);
    this.#check(offer);
    const path = await this.#options.store.receive(offer.bytes);
    if (path === undefined) throw new Error('its disk space for parked sessions is full (--park-size)');
    return path;
  }

  /** Other sessions may come while the file does. @throws Error where the session cannot be taken. */
  #check(offer: MoveOffer): void {
    const refusal = this.#options.refusal(offer);
    if (refusal !== undefined) throw new Error(refusal);
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
