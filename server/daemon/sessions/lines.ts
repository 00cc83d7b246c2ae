import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type HostAddress, parseHostAddress } from '../../../link/dial/host-address.js';
import { STREAM_BYTES } from '../../../link/dial/open-byte-stream.js';
import type { ExecutorChild } from '../../../link/executor/executor-child.js';
import { PROCESS_CLOCK } from '../../../link/machine/timer.js';
import { FarlightError, messageOf } from '../../../proto/errors.js';
import type { LineReport } from '../../../proto/session/lines.js';
import { NOTHING } from '../../../proto/wire/packet.js';
import type { Bridges } from '../door/bridges.js';

export interface LinesOptions {
  /** The hosts to which sessions may have lines, as the owner has named them. */
  peers: readonly HostAddress[];
  /** Makes plain sockets of lines, for the executors. */
  bridges(): Bridges | undefined;
  /** The most bytes of a tenant that may wait at the host; undefined where it may have any number of lines. */
  mostBytes(tenant: string): number | undefined;
  /** Opens a line to another host with a ticket that it gave out. Rejects with the reason where that fails. */
  open(address: HostAddress, ticket: string): Promise<Duplex>;
}

/** The end of a line that a session of this host has asked for. */
export interface LineEnd {
  readonly child: ExecutorChild;
  readonly tenant: string;
  readonly line: number;
}

/** How long a ticket is good, in milliseconds. */
const TICKET_MS = 60_000;
const TICKET_BYTES = 32;

/**
 * The lines of all sessions to sessions of other hosts, until the executors have them. It gives out tickets, and connects
 * to the owner's peers and to no other address.
 */
export class Lines {
  readonly #options: LinesOptions;
  /** By the ticket's hash: looking one up tells nothing of the others. */
  readonly #tickets = new Map<string, LineEnd>();
  /** The ends that have no connection yet. */
  readonly #waiting = new Set<LineEnd>();
  /** By tenant, how many ends there are, with and without a connection. */
  readonly #counts = new Map<string, number>();

  constructor(options: LinesOptions) {
    this.#options = options;
  }

  /** An executor asks for a line of its session. */
  receive(child: ExecutorChild, tenant: string, report: LineReport): void {
    const end: LineEnd = { child, tenant, line: report.line };
    const count = (this.#counts.get(tenant) ?? 0) + 1;
    this.#counts.set(tenant, count);
    this.#waiting.add(end);
    const most = this.#options.mostBytes(tenant);
    if (most !== undefined && count * STREAM_BYTES > most) {
      const why = `its lines may have ${most} bytes under way at this host, and each takes ${STREAM_BYTES}`;
      this.#refuse(end, `the tenant has too many lines: ${why}; ask the host's owner for more (--in-flight)`);
      return;
    }
    if (report.type === 'acceptLine') this.#giveTicket(end);
    else void this.#connect(end, report.host, report.ticket);
  }

  /** The session has ended: its tickets are worth nothing, and it gets no lines. */
  over(child: ExecutorChild): void {
    for (const end of this.#waiting) if (end.child === child) this.#forget(end);
    for (const [ticket, end] of this.#tickets) if (end.child === child) this.#tickets.delete(ticket);
  }

  /**
   * Returns the end of the line that a ticket was made for. From then on the ticket is worth nothing.
   *
   * @throws FarlightError UNAUTHORIZED
   */
  claim(ticket: string | undefined): LineEnd {
    const name = hash(ticket ?? '');
    const end = this.#tickets.get(name);
    this.#tickets.delete(name);
    if (end) return end;
    throw new FarlightError(
      'UNAUTHORIZED',
      'the host does not know this ticket: it is good once, for a minute',
    );
  }

  /** Another host has shown a ticket, and this connection carries the line. */
  accept(line: Duplex, end: LineEnd): void {
    this.#carry(line, end);
  }

  #giveTicket(end: LineEnd): void {
    const ticket = randomBytes(TICKET_BYTES).toString('base64url');
    const name = hash(ticket);
    this.#tickets.set(name, end);
    PROCESS_CLOCK.after(TICKET_MS, () => {
      if (this.#tickets.delete(name))
        this.#refuse(end, `no host has shown its ticket within ${TICKET_MS / 1000} seconds`);
    });
    end.child.tell({ type: 'ticket', line: end.line, ticket });
  }

  async #connect(end: LineEnd, host: string, ticket: string): Promise<void> {
    try {
      this.#carry(await this.#options.open(this.#peer(host), ticket), end);
    } catch (error) {
      this.#refuse(end, messageOf(error));
    }
  }

  /** The owner's own entry for a host. Its key is pinned there, whatever the client says. */
  #peer(host: string): HostAddress {
    const { url } = parseHostAddress(host, { tls: true });
    const peer = this.#options.peers.find((each) => each.url === url);
    if (peer) return peer;
    throw new FarlightError(
      'BAD_OPTION',
      `the host's owner has not named ${url} as a peer (farlight serve --peer)`,
    );
  }

  #carry(line: Duplex, end: LineEnd): void {
    const use = (far: Socket) => {
      if (!this.#waiting.delete(end)) return false;
      line.once('close', () => this.#uncount(end));
      end.child.hand({ type: 'line', line: end.line, head: NOTHING }, far);
      return true;
    };
    const failed = () => {
      line.destroy();
      this.#refuse(end, 'the connection to the other host was lost');
    };
    const bridges = this.#options.bridges();
    if (bridges && this.#waiting.has(end)) bridges.carry(line, use, failed);
    else failed();
  }

  #refuse(end: LineEnd, why: string): void {
    if (this.#forget(end)) end.child.tell({ type: 'noLine', line: end.line, why });
  }

  /** Forgets an end that has no connection. */
  #forget(end: LineEnd): boolean {
    const isWaiting = this.#waiting.delete(end);
    if (isWaiting) this.#uncount(end);
    return isWaiting;
  }

  #uncount({ tenant }: LineEnd): void {
    const count = (this.#counts.get(tenant) ?? 0) - 1;
    if (count > 0) this.#counts.set(tenant, count);
    else this.#counts.delete(tenant);
  }
}

function hash(ticket: string): string {
  return createHash('sha256').update(ticket).digest('hex');
}

/**
 * Understands the addresses of peers as the owner writes them.
 *
 * @throws FarlightError BAD_URL, or BAD_OPTION where one has a token.
 */
export function parsePeers(texts: readonly string[]): HostAddress[] {
  return texts.map((text) => {
    const address = parseHostAddress(text, { tls: true });
    if (address.token === undefined) return address;
    throw new FarlightError(
      'BAD_OPTION',
      `--peer ${address.url} needs no token: sessions show tickets; write the address as that host prints it`,
    );
  });
}
