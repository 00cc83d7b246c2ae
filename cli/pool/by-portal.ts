import { parsePortalAddress } from '../../pool/portal/client/portal-address.js';
import { PortalClient } from '../../pool/portal/client/portal-client.js';
import type { BookingView, PoolInfo, PortalView } from '../../pool/portal/view.js';
import { FarlightError } from '../../proto/errors.js';
import { harmlessJson } from '../../proto/harmless.js';
import { type Style, styleOf, table } from '../style.js';

/** `farlight pool ls`, of a portal's pools. */
export async function listByPortal(portal: string, { json }: { json: boolean }): Promise<void> {
  const view = await ask(portal, (client) => client.ask<PortalView>('GET', '/v1/portal'));
  if (json) {
    process.stdout.write(`${harmlessJson(JSON.stringify(view, null, 2))}\n`);
    return;
  }
  const style = styleOf(process.stdout);
  const pools = view.pools.map((pool) => [
    pool.name,
    pool.engine,
    `${pool.hosts.filter(isThere).length} of ${pool.max}`,
    String(pool.waiting),
    pool.silence ?? '',
  ]);
  const bookings = view.pools.flatMap((pool) => pool.bookings);
  print([
    ...table(['pool', 'engine', 'hosts', 'waiting', 'problem'], pools, style),
    '',
    ...(bookings.length > 0 ? bookingLines(bookings, style) : ['no bookings']),
  ]);
}

/** `farlight pool describe`, of a portal's pool. */
export async function describeByPortal(portal: string, name: string): Promise<void> {
  const pool = await ask(portal, (client) =>
    client.ask<PoolInfo>('GET', `/v1/pools/${encodeURIComponent(name)}`),
  );
  const style = styleOf(process.stdout);
  const { engine, max, idle, wait, lease, files, silence } = pool;
  const hosts = pool.hosts.map(({ slot, term, phase, why, node = '', tenant = '', isOutside, sessions }) => [
    String(slot),
    term === 0 ? '' : String(term),
    phase,
    node,
    isOutside ? 'outside of the portal' : tenant,
    sessions === undefined ? '' : String(sessions),
    why,
  ]);
  const costs = pool.costs.map(({ tenant, used, idle: unused, ...counts }) => [
    tenant,
    used.toFixed(1),
    unused.toFixed(1),
    String(counts.hosts),
    String(counts.bookings),
  ]);
  print([
    `pool ${pool.name}: engine ${engine}, at most ${max} ${max === 1 ? 'host' : 'hosts'}`,
    `given back after ${idle} s without use; lease ${lease} s; a program waits at most ${wait} s`,
    ...(files === undefined ? [] : [`files of both sides: ${files}`]),
    ...(silence === undefined ? [] : [`the engine does not answer: ${silence}`]),
    '',
    ...table(['slot', 'term', 'phase', 'node', 'tenant', 'sessions', 'why'], hosts, style),
    '',
    ...(pool.bookings.length > 0 ? bookingLines(pool.bookings, style) : ['no bookings']),
    ...(costs.length === 0
      ? []
      : ['', ...table(['tenant', 'GPU s used', 'GPU s idle', 'hosts', 'bookings'], costs, style)]),
  ]);
}

/** `farlight pool down`, of one pool of a portal, or of all. */
export async function endByPortal(portal: string, name: string | undefined): Promise<void> {
  const ended = await ask(portal, async (client) => {
    const { pools } = await client.ask<PortalView>('GET', '/v1/portal');
    const names = name === undefined ? pools.map((pool) => pool.name) : [name];
    const sum = { bookings: 0, hosts: 0 };
    for (const each of names) {
      const path = `/v1/pools/${encodeURIComponent(each)}/down`;
      const { bookings, hosts } = await client.ask<typeof sum>('POST', path);
      sum.bookings += bookings;
      sum.hosts += hosts;
    }
    return sum;
  });
  const { bookings, hosts } = ended;
  print([
    `ended ${hosts} ${hosts === 1 ? 'host' : 'hosts'} and ${bookings} ${bookings === 1 ? 'booking' : 'bookings'}`,
  ]);
}

async function ask<T>(portal: string, act: (client: PortalClient) => Promise<T>): Promise<T> {
  const address = parsePortalAddress(portal, process.env, 'portal');
  if (address.pool !== '')
    throw new FarlightError('BAD_URL', `--portal names a portal, and not a pool; leave out /${address.pool}`);
  const client = new PortalClient(address);
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

function isThere({ phase }: PoolInfo['hosts'][number]): boolean {
  return ['queued', 'starting', 'ready', 'releasing'].includes(phase);
}

function bookingLines(bookings: readonly BookingView[], style: Style): string[] {
  const rows = bookings.map(({ id, pool, tenant, program, phase, why }) => [
    id,
    pool,
    tenant,
    program,
    phase,
    why,
  ]);
  return table(['booking', 'pool', 'tenant', 'program', 'phase', 'where or why'], rows, style);
}

function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.map((line) => line.trimEnd()).join('\n')}\n`);
}
