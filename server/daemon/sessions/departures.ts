import type { Duplex } from 'node:stream';
import { giveSession, newSessionId } from '../../../link/channel/hand-over.js';
import { MovePackets } from '../../../link/channel/move-packets.js';
import { type HostAddress, parseHostAddress } from '../../../link/dial/host-address.js';
import { FarlightError, messageOf } from '../../../proto/errors.js';
import type { ParkedPlace } from '../../../proto/session/executor-messages.js';
import type { Moved } from '../../../proto/session/handshake.js';
import type { MoveOffer } from '../../../proto/session/moves.js';

export interface DeparturesOptions {
  /** The hosts to which sessions may go, as the owner has named them, with their tokens. */
  hosts: readonly HostAddress[];
  /** Opens a connection to one of them. Rejects with the reason where that fails. */
  open(address: HostAddress): Promise<Duplex>;
}

/** Hands sessions of this host to other hosts. */
export class Departures {
  readonly #options: DeparturesOptions;

  constructor(options: DeparturesOptions) {
    this.#options = options;
  }

  /**
   * The hosts to which a session may go.
   *
   * @param to one of their addresses; absent for all.
   * @throws FarlightError BAD_URL where it is no address, BAD_OPTION where the owner has not named it.
   */
  hosts(to?: string): readonly HostAddress[] {
    const { hosts } = this.#options;
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
   * Offers a session to one host after the other. Resolves when one of them has it: its objects are made again there, and
   * only the client is missing. If this rejects, no client will ever come to another host for the session.
   *
   * @param refused is called with the address and the reason of each host that does not take it.
   * @throws Error (rejects) with all reasons.
   */
  async hand(
    offer: Omit<MoveOffer, 'sessionId'>,
    place: ParkedPlace,
    hosts: readonly HostAddress[],
    refused: (to: string, why: string) => void,
  ): Promise<Moved> {
    const reasons: string[] = [];
    for (const address of hosts) {
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
