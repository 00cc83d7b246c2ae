import type { Duplex } from 'node:stream';
import { giveSession, newSessionId } from '../../../link/channel/hand-over.js';
import { MovePackets } from '../../../link/channel/move-packets.js';
import { type HostAddress, parseHostAddress } from '../../../link/dial/host-address.js';
import { monotonicNow } from '../../../link/machine/clock.js';
import { packageVersion } from '../../../link/machine/package-version.js';
import { FarlightError, invariant, messageOf } from '../../../proto/errors.js';
import type { ParkedChannel, ParkedPlace } from '../../../proto/session/executor-messages.js';
import type { Moved } from '../../../proto/session/handshake.js';
import type { MoveOffer } from '../../../proto/session/moves.js';
import type { ParkedStore } from './parked-store.js';
import type { Session } from './session.js';

export interface DeparturesOptions {
  /** The hosts to which sessions may go, as the owner has named them, with their tokens. */
  hosts: readonly HostAddress[];
  /** Opens a connection to one of them. Rejects with the reason where that fails. */
  open(address: HostAddress): Promise<Duplex>;
  store: ParkedStore;
  /** Whether sessions of this host have contents, and lines to other hosts. */
  keepsContents: boolean;
  hasLines: boolean;
}

/** How long a session may take to be at rest whose client wants to have it, in milliseconds. */
const GIVE_MS = 2000;

/** Hands sessions of this host to other hosts, or to their own clients. */
export class Departures {
  readonly #options: DeparturesOptions;

  constructor(options: DeparturesOptions) {
    this.#options = options;
  }

  /**
   * The hosts to which a session may go.
   *
   * @param to one of their addresses; absent for all.
   * @throws FarlightError BAD_URL where it is no address, BAD_OPTION where the owner has not named it, or none.
   */
  hosts(to?: string): readonly HostAddress[] {
    const { hosts } = this.#options;
    if (hosts.length === 0)
      throw new FarlightError(
        'BAD_OPTION',
        'the host has no other host for its sessions; start it with --move-to',
      );
    if (to === undefined) return hosts;
    const { url } = parseHostAddress(to, { tls: true });
    const found = hosts.filter((each) => each.url === url);
    if (found.length > 0) return found;
    throw new FarlightError(
      'BAD_OPTION',
      `the host may not move sessions to ${url}; start it with --move-to and that address`,
    );
  }

  /**
   * Moves a session to one of these hosts. Resolves when that has it. Rejects with the reason; then the session stays.
   *
   * @param withinMs how long the session may take to be at rest.
   * @param until when no further host is asked, by the steady clock. A host that is silent takes minutes.
   */
  async move(
    session: Session,
    hosts: readonly HostAddress[],
    withinMs: number,
    until: number = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    const { log, terms, parking } = session;
    invariant(parking, 'a host without parked sessions has no departures');
    const since = monotonicNow();
    let isRefused = false;
    const refused = (to: string, why: string) => {
      isRefused = true;
      log.notMoved(why, to);
    };
    try {
      if (!terms.moves)
        throw new Error('its program has an older Farlight, or is a web page, and cannot follow it');
      await parking.parkWithin(withinMs, async ({ place, channel }) => {
        const offer = this.#offer(session, channel, place);
        const moved = await this.hand(offer, place, hosts, refused, until);
        log.moved(moved.address, offer.bytes, monotonicNow() - since);
        return moved;
      });
    } catch (error) {
      if (!isRefused) log.notMoved(messageOf(error));
      throw error;
    }
  }

  /**
   * Hands a session that is at rest to its own client, which brings it to another host when it goes on. Rejects with the
   * reason; then the session stays.
   */
  async give(session: Session, packets: MovePackets): Promise<void> {
    const { id: sessionId, log, parking } = session;
    invariant(parking, 'a host without parked sessions has no departures');
    const since = monotonicNow();
    await parking.parkWithin(GIVE_MS, async ({ place, channel }) => {
      const offer = this.#offer(session, channel, place);
      await giveSession(packets, { ...offer, sessionId }, place);
      log.moved('its program', offer.bytes, monotonicNow() - since);
      return { address: '', sessionId };
    });
  }

  /** A session as another host gets it. */
  #offer(
    { client, terms, log }: Session,
    channel: ParkedChannel,
    place: ParkedPlace,
  ): Omit<MoveOffer, 'sessionId'> {
    const { store, keepsContents, hasLines } = this.#options;
    const { program, protocol, compression, buffers } = terms;
    return {
      ...{ version: packageVersion(), protocol, tenant: client.tenant, program, compression },
      ...{ windowBytes: buffers.commands, keepsContents, hasLines, channel },
      bytes: store.bytesOf(place),
      work: { ...log.work },
    };
  }

  /**
   * Offers a session to one host after the other. Resolves when one of them has it: its objects are made again there, and
   * only the client is missing. If this rejects, no client will ever come to another host for the session.
   *
   * @param refused is called with the address and the reason of each host that does not take it.
   * @param until when no further host is asked, by the steady clock.
   * @throws Error (rejects) with all reasons.
   */
  async hand(
    offer: Omit<MoveOffer, 'sessionId'>,
    place: ParkedPlace,
    hosts: readonly HostAddress[],
    refused: (to: string, why: string) => void,
    until: number = Number.POSITIVE_INFINITY,
  ): Promise<Moved> {
    const reasons: string[] = [];
    for (const address of hosts) {
      if (reasons.length > 0 && monotonicNow() >= until) break;
      // A new id for each host, so that a session that was nearly there is of no use to anybody.
      const sessionId = newSessionId();
      try {
        await handTo(await this.#options.open(address), { ...offer, sessionId }, place);
        return { address: addressFor(address), sessionId };
      } catch (error) {
        refused(address.url, messageOf(error));
        reasons.push(`${address.url} does not take it: ${messageOf(error)}`);
      }
    }
    throw new Error(reasons.join('; '));
  }
}

async function handTo(stream: Duplex, offer: MoveOffer, place: ParkedPlace): Promise<void> {
  const packets = new MovePackets(stream);
  try {
    await giveSession(packets, offer, place);
  } finally {
    packets.close();
  }
}

/** The address as a client needs it: with the pin, and without this host's own token. */
function addressFor({ url, pin }: HostAddress): string {
  return pin === undefined ? url : `${url}?ca=${pin}`;
}

/**
 * Understands the addresses of hosts that take sessions as the owner writes them.
 *
 * @param needsTls whether clients reach this host over TLS, and so must reach the others.
 * @throws FarlightError BAD_URL, or BAD_OPTION where clients would reach one of them in plaintext.
 */
export function parseMoveHosts(texts: readonly string[], needsTls: boolean): HostAddress[] {
  return texts.map((text) => {
    const address = parseHostAddress(text, { tls: true });
    if (!needsTls || address.scheme === 'grpcs') return address;
    throw new FarlightError(
      'BAD_OPTION',
      `--move-to ${address.url} is plaintext, and this host's clients speak TLS; write grpcs://TOKEN@HOST:PORT`,
    );
  });
}
