import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { parsePortalAddress } from '#farlight/pool/portal/client/portal-address.js';
import { PortalClient } from '#farlight/pool/portal/client/portal-client.js';
import type { BookingAnswer, PortalView } from '#farlight/pool/portal/view.js';
import { type Printed, startFarlight } from '../hosts/farlight-command.js';
import { until } from '../machine/processes.js';
import type { PoolFolder } from './pool-folder.js';

/** `farlight pool serve` for the pool of a test, in a process of its own. */
export class PortalProcess {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<unknown>;
  readonly #printed: Readonly<Printed>;

  private constructor(pool: PoolFolder, args: readonly string[]) {
    const { child, printed, done } = startFarlight(
      ['pool', 'serve', pool.file, '--log-level', 'info', ...args],
      pool.env,
    );
    this.child = child;
    this.#printed = printed;
    this.ended = done;
  }

  /** Resolves when it is ready. */
  static async start(pool: PoolFolder, ...args: string[]): Promise<PortalProcess> {
    const portal = new PortalProcess(
      pool,
      args.includes('--listen') ? args : ['--listen', '127.0.0.1:0', ...args],
    );
    await until(() => portal.#printed.stdout.includes('programs:') || portal.child.exitCode !== null);
    if (portal.child.exitCode !== null) throw new Error(portal.#printed.stderr);
    return portal;
  }

  get log(): string {
    return this.#printed.stderr;
  }

  /** The portal's URL. */
  get url(): string {
    return /ready: (\S+)/.exec(this.#printed.stdout)?.[1] ?? '';
  }

  /** The address of the pool for programs. */
  address(token?: string): string {
    const printed = /FARLIGHT_HOST=(\S+)/.exec(this.#printed.stdout)?.[1] ?? '';
    return printed.replace('TOKEN', token ?? 'TOKEN');
  }

  client(token?: string): PortalClient {
    return new PortalClient(parsePortalAddress(this.address(token)));
  }

  async view(token?: string): Promise<PortalView> {
    const client = this.client(token);
    try {
      return await client.ask('GET', '/v1/portal');
    } finally {
      client.close();
    }
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

/** A light program: it books a host, and uses none. */
export async function book(client: PortalClient, pool: string, wish: object = {}): Promise<BookingAnswer> {
  return client.book(pool, wish);
}

/** Renews a booking until it is in another phase than this one. */
export async function past(
  client: PortalClient,
  booking: BookingAnswer,
  phase: BookingAnswer['phase'] = 'waiting',
  heard: (why: string) => void = () => {},
): Promise<BookingAnswer> {
  let last = booking;
  while (last.phase === phase) {
    heard(last.why);
    last = await client.ask('POST', `/v1/bookings/${booking.id}/renew`, { seen: last.version, wait: 1 });
  }
  return last;
}
