import { randomUUID } from 'node:crypto';
import { isLoopback } from '../../../link/address/loopback.js';
import { monotonicNow } from '../../../link/machine/clock.js';
import { siteFiles } from '../../../page/site-files.js';
import type { TokenStore } from '../../../server/trust/token-store.js';
import type { Booking, Place } from '../booking.js';
import { hostLog } from '../host-log.js';
import { bookingView, type Client, maySee, type Portal, poolInfo } from '../portal.js';
import type { ServedPool } from '../served-pool.js';
import type { BookingAnswer } from '../view.js';
import { Events } from './events.js';
import { type Exchange, HttpError } from './exchange.js';
import { OPEN_API } from './openapi.js';
import type { Route } from './portal-server.js';

export interface RoutesOptions {
  readonly portal: Portal;
  /** Undefined where the portal asks for no token. */
  readonly tokens: TokenStore | undefined;
  /** The figures for Prometheus. */
  metrics(): Promise<{ type: string; text: string }>;
  /** A bug, for the log. */
  onError(error: unknown): void;
}

/** The longest that an answer waits for a change, in seconds. */
const MOST_WAIT = 30;
/** The longest that a person may have a host, in seconds. */
const MOST_SECONDS = 24 * 3600;
/** Programs and processes name themselves. */
const NAME = /^\P{Cc}{1,100}$/u;

export function portalRoutes({ portal, tokens, metrics, onError }: RoutesOptions): Route[] {
  const open = (names: Readonly<Record<string, string>>, client: Client) =>
    found(portal, names.booking ?? '', client);
  const events = new Events(portal, onError);
  tokens?.onRevoked((id) => events.end(id));
  return [
    ...pageRoutes(),
    { method: 'GET', path: '/v1/openapi.json', isOpen: true, handle: (exchange) => exchange.json(OPEN_API) },
    { method: 'GET', path: '/v1/health', isOpen: true, handle: (exchange) => exchange.json({ live: true }) },
    {
      method: 'GET',
      path: '/v1/portal',
      handle: (exchange, _, client) => exchange.json(portal.view(client)),
    },
    { method: 'GET', path: '/v1/events', handle: (exchange, _, client) => events.follow(exchange, client) },
    {
      method: 'GET',
      path: '/v1/pools/{pool}',
      handle: (exchange, { pool = '' }, client) => exchange.json(poolInfo(portal.pool(pool), client)),
    },
    {
      method: 'POST',
      path: '/v1/pools/{pool}/bookings',
      async handle(exchange, { pool = '' }, { tenant }) {
        const served = portal.pool(pool);
        const { program, process, hosts, seconds } = await exchange.body();
        const booking = served.book({
          tenant,
          program: nameIn(program, 'program') ?? 'a program without a name',
          process: nameIn(process, 'process') ?? randomUUID(),
          hosts: hostsIn(hosts, served, tenant),
          seconds: numberIn(seconds, 'seconds', { least: 1, most: MOST_SECONDS }),
        });
        await served.saved();
        exchange.json(answerOf(served, booking, exchange), 201);
      },
    },
    {
      method: 'GET',
      path: '/v1/bookings/{booking}',
      handle(exchange, names, client) {
        const { pool, booking } = open(names, client);
        exchange.json(bookingView(pool, booking));
      },
    },
    {
      method: 'POST',
      path: '/v1/bookings/{booking}/renew',
      async handle(exchange, names, client) {
        const { pool, booking } = open(names, client);
        // A host's address has its token in it, which is for the tenant alone.
        if (booking.wish.tenant !== client.tenant)
          throw new HttpError(403, 'this booking is another tenant’s');
        const { seen = 0, wait = 0 } = await exchange.body();
        await renewed(booking, exchange.signal, {
          seen: numberIn(seen, 'seen', { least: 0, most: Number.MAX_SAFE_INTEGER }) ?? 0,
          ms: (numberIn(wait, 'wait', { least: 0, most: MOST_WAIT }) ?? 0) * 1000,
        });
        exchange.json(answerOf(pool, booking, exchange));
      },
    },
    {
      method: 'DELETE',
      path: '/v1/bookings/{booking}',
      async handle(exchange, names, client) {
        const { pool, booking } = open(names, client);
        const who = client.tenant === booking.wish.tenant ? 'its program' : 'the portal’s owner';
        pool.end(booking, `${who} has released it`);
        await pool.saved();
        exchange.json(bookingView(pool, booking));
      },
    },
    {
      method: 'GET',
      path: '/v1/bookings/{booking}/log',
      async handle(exchange, names, client) {
        const { pool, booking } = open(names, client);
        const { places } = booking;
        if (places.length === 0) throw new HttpError(404, 'this booking has no host yet');
        await sendLogs(exchange, pool, places);
      },
    },
    {
      method: 'GET',
      path: '/v1/pools/{pool}/hosts/{slot}/log',
      async handle(exchange, { pool = '', slot = '' }, client) {
        const served = portal.pool(pool);
        const { term } = served.view.allocation(Number(slot)).facts;
        const host = served.hosts.at(Number(slot));
        if (!client.isOwner && !(host && maySee(client, host.tenant)))
          throw new HttpError(
            403,
            'only the tenant that has this host, and the portal’s owner, read its log',
          );
        if (term === 0) throw new HttpError(404, 'there was no host in this slot');
        await sendLogs(exchange, served, [{ slot: Number(slot), term }]);
      },
    },
    {
      method: 'POST',
      path: '/v1/pools/{pool}/down',
      async handle(exchange, { pool = '' }, client) {
        const served = portal.pool(pool);
        if (client.isOwner) {
          const bookings = served.bookings.length;
          const hosts = served.down('the portal’s owner has ended all hosts of the pool');
          await served.saved();
          exchange.json({ bookings, hosts });
          return;
        }
        const own = served.bookings.filter(({ wish }) => wish.tenant === client.tenant);
        const hosts = new Set(own.flatMap(({ places }) => places.map(({ slot }) => slot))).size;
        for (const booking of own) served.end(booking, 'its tenant has ended all that it had');
        await served.saved();
        exchange.json({ bookings: own.length, hosts });
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      async handle(exchange) {
        const { type, text } = await metrics();
        exchange.send(200, text, type);
      },
    },
  ];
}

/** The page's own files have no secrets: what it shows, it asks for with the reader's token. */
function pageRoutes(): Route[] {
  return [...siteFiles('pool/portal/site')].map(([path, { type, bytes }]) => ({
    method: 'GET',
    path,
    isOpen: true,
    handle: (exchange) => exchange.send(200, bytes(), type),
  }));
}

function found(portal: Portal, id: string, client: Client): { pool: ServedPool; booking: Booking } {
  const booking = portal.find(id, client);
  if (booking) return booking;
  throw new HttpError(404, 'there is no such booking; it has ended long ago, or is another tenant’s');
}

/** Counts as a renewal from now on, and waits for a change. */
async function renewed(
  booking: Booking,
  signal: AbortSignal,
  { seen, ms }: { seen: number; ms: number },
): Promise<void> {
  booking.renewed = monotonicNow();
  booking.gone = undefined;
  await booking.changed(seen, ms, signal);
  if (signal.aborted) booking.gone = monotonicNow();
}

function answerOf(pool: ServedPool, booking: Booking, { request }: Exchange): BookingAnswer {
  const addresses = booking.urls.map((url) => reachable(url, pool, request.socket.localAddress));
  const { idle, terms } = pool.pool;
  return { ...bookingView(pool, booking), addresses, idle: idle / 1000, lease: terms.lease / 1000 };
}

/** A host on the portal's own machine is reached by the address by which this client has reached the portal. */
function reachable(url: string, { pool }: ServedPool, address: string | undefined): string {
  if (!pool.engine.isHere || address === undefined) return url;
  const shown = address.replace(/^::ffff:/, '');
  if (isLoopback(shown)) return url;
  return url.replace('@127.0.0.1:', `@${shown.includes(':') ? `[${shown}]` : shown}:`);
}

/** The ends of what hosts have printed, one after the other. */
async function sendLogs(exchange: Exchange, { view }: ServedPool, places: readonly Place[]): Promise<void> {
  const logs = await Promise.all(places.map(({ slot, term }) => hostLog(view, slot, term)));
  if (logs.every((log) => log === undefined))
    throw new HttpError(404, 'nobody has the log of this host any more');
  const [only = ''] = logs;
  const parts = logs.map((log, at) => `host ${places[at]?.slot}:\n${log ?? 'nobody has its log any more\n'}`);
  exchange.send(200, logs.length === 1 ? only : parts.join('\n'), 'text/plain; charset=utf-8');
}

function nameIn(value: unknown, what: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && NAME.test(value)) return value;
  throw new HttpError(400, `"${what}" is a text of 1 to 100 characters in one line`);
}

/** How many hosts are asked for: not more than there can be for this tenant at a time. */
function hostsIn(value: unknown, served: ServedPool, tenant: string): number {
  const { name, max } = served.pool;
  const hosts = numberIn(value, 'hosts', { least: 1, most: Number.MAX_SAFE_INTEGER }) ?? 1;
  if (!Number.isInteger(hosts)) throw new HttpError(400, '"hosts" is a whole number');
  const most = Math.min(max, Math.max(1, served.standing(tenant).most));
  if (hosts <= most) return hosts;
  const who = most === max ? `the pool ${name} has` : 'this tenant may have';
  const number = most === 1 ? '1 host' : `${most} hosts`;
  throw new HttpError(400, `${who} at most ${number} at a time, and ${hosts} are asked for; ask for fewer`);
}

function numberIn(
  value: unknown,
  what: string,
  { least, most }: { least: number; most: number },
): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw new HttpError(400, `"${what}" is a number from ${least} to ${most}`);
}
