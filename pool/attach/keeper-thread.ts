/**
 * The thread that renews the leases of this program's hosts. The program's own thread may compute for long without a
 * pause, and its hosts stay. Where the process is stopped or ends, so does this, and the leases lapse.
 */
import { randomUUID } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { HostClient } from '../../client/transport/host/host-client.js';
import { setTimeout } from '../../link/machine/clock.js';
import { Journal } from '../journal/journal.js';

/** Which host. */
export interface HostOfTerm {
  readonly folder: string;
  readonly slot: number;
  readonly term: number;
  readonly url: string;
}

export type KeeperRequest =
  /** How many sessions has this host? */
  | { readonly id: number; readonly do: 'look'; readonly host: HostOfTerm }
  /** Renews the lease until `leave`. */
  | { readonly id: number; readonly do: 'join'; readonly host: HostOfTerm }
  /** `released`: the program does not need the host any more. */
  | { readonly id: number; readonly do: 'leave'; readonly host: HostOfTerm; readonly released: boolean };

export interface KeeperReply {
  readonly id: number;
  /** Absent where the host does not answer, or takes no session. */
  readonly sessions?: number | undefined;
}

/** How many renewals there are in one lease. */
const IN_A_LEASE = 5;

/** Who renews: this program. */
const holder = randomUUID();

/** How many sessions of this program keep each host, and the connection to it. */
const kept = new Map<string, { joins: number; client: HostClient; challenge: number; leaseMs: number }>();

parentPort?.on('message', ({ id, ...request }: KeeperRequest) => {
  carryOut(request as KeeperRequest).then(
    (sessions) => parentPort?.postMessage({ id, sessions } satisfies KeeperReply),
    () => parentPort?.postMessage({ id } satisfies KeeperReply),
  );
});

async function carryOut({ host, ...request }: KeeperRequest): Promise<number | undefined> {
  const key = keyOf(host);
  const found = kept.get(key);
  if (request.do === 'leave') {
    if (!found) return undefined;
    found.joins -= 1;
    if (found.joins > 0) return undefined;
    kept.delete(key);
    if (request.released) await found.client.renew({ challenge: 0, holder, release: true }).catch(() => {});
    found.client.close();
    return undefined;
  }
  const client = found?.client ?? new HostClient(host.url);
  try {
    const { challenge, leaseMs, sessions } = await client.renew({ challenge: 0, holder, release: false });
    if (request.do === 'look') return sessions;
    // The challenge is there, so a fence that comes after this look is known to wait one lease from now.
    if (new Journal(host.folder).isFenced(host.slot, host.term)) return undefined;
    const renewed = await client.renew({ challenge, holder, release: false });
    if (!renewed.valid) return undefined;
    const now = kept.get(key);
    if (now) now.joins += 1;
    else {
      kept.set(key, { joins: 1, client, challenge: renewed.challenge, leaseMs });
      renewLater(host);
    }
    return renewed.sessions;
  } finally {
    if (kept.get(key)?.client !== client) client.close();
  }
}

function renewLater(host: HostOfTerm): void {
  const entry = kept.get(keyOf(host));
  if (!entry) return;
  setTimeout(() => void renew(host), entry.leaseMs / IN_A_LEASE);
}

async function renew(host: HostOfTerm): Promise<void> {
  const entry = kept.get(keyOf(host));
  if (!entry) return;
  try {
    if (new Journal(host.folder).isFenced(host.slot, host.term)) return;
    const { challenge } = await entry.client.renew({ challenge: entry.challenge, holder, release: false });
    entry.challenge = challenge;
  } catch {
    // The host does not answer now. The session tells the program where it is gone.
  }
  renewLater(host);
}

function keyOf({ folder, slot, term }: HostOfTerm): string {
  return `${folder}/${slot}.${term}`;
}
