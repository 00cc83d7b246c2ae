/**
 * The thread that renews the leases of this program's hosts. The program's own thread may compute for long without a
 * pause, and its hosts stay. Where the process is stopped or ends, so does this, and the leases lapse.
 */
import { randomUUID } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { HostClient } from '../../client/transport/host/host-client.js';
import type { RenewReply, RenewRequest } from '../../link/grpc/host-service.js';
import { setTimeout } from '../../link/machine/clock.js';
import { FileCaller } from '../files/file-calls.js';
import { folderOf } from '../host/report.js';
import { Journal } from '../journal/journal.js';
import { type Goodbye, hasGivenBack } from './at-exit.js';

/** The host of one term of an allocation. */
export interface HostOfTerm {
  readonly folder: string;
  readonly slot: number;
  readonly term: number;
  readonly url: string;
}

export type KeeperRequest =
  /** How many sessions are open on this host? */
  | { readonly id: number; readonly do: 'count'; readonly host: HostOfTerm }
  /** How many programs have this host? */
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

/** A host whose lease is renewed does not answer any more; sent again with each try. */
export interface KeeperNews {
  readonly lost: HostOfTerm;
}

/** How many renewals there are in one lease. */
const IN_A_LEASE = 5;

/** The name under which this program renews. */
const holder = randomUUID();

interface Kept {
  /** How many sessions of this program keep the host. */
  joins: number;
  readonly client: Renewer;
  challenge: number;
  readonly leaseMs: number;
}

/** A host, or the job of a command, as its lease is renewed. */
interface Renewer {
  renew(request: RenewRequest): Promise<RenewReply>;
  /** Calls this once when the connection is lost, where there is one. */
  onLost?(listener: () => void): void;
  close(): void;
}

/** How long the job of a command may take to answer through files, in milliseconds. */
const FILES_MS = 15_000;

/** The hosts whose leases are renewed. */
const kept = new Map<string, Kept>();

/** Releases that are under way. */
const releasing = new Set<Promise<unknown>>();

parentPort?.on('message', (message: KeeperRequest | Goodbye) => {
  if ('done' in message) return void giveBack(message);
  const { id, ...request } = message;
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
    if (request.released) await release(found);
    found.client.close();
    return undefined;
  }
  const client = found?.client ?? renewerOf(host.url);
  try {
    // The job of a command has no sessions.
    if (request.do === 'count') return client instanceof HostClient ? (await client.describe()).sessions : 0;
    const { challenge, leaseMs, sessions } = await client.renew({ challenge: 0, holder, release: false });
    if (request.do === 'look') return sessions;
    // The challenge is there, so a fence that comes after this look is known to wait one lease from now.
    if (new Journal(host.folder).isFenced(host.slot, host.term)) return undefined;
    const renewed = await client.renew({ challenge, holder, release: false });
    if (!renewed.valid) return undefined;
    const now = kept.get(key);
    if (now) now.joins += 1;
    // The last session with the host has ended meanwhile, and has closed the connection.
    else if (found) return undefined;
    else {
      const entry = { joins: 1, client, challenge: renewed.challenge, leaseMs };
      kept.set(key, entry);
      watch(host, entry);
      renewLater(host, entry);
    }
    return renewed.sessions;
  } finally {
    if (kept.get(key)?.client !== client) client.close();
  }
}

/** Resolves when the host knows. The error is dropped: one that cannot be told ends later, since nobody renews its lease. */
async function release({ client }: Kept): Promise<void> {
  const told = client.renew({ challenge: 0, holder, release: true }).catch(() => {});
  releasing.add(told);
  await told;
  releasing.delete(told);
}

/** Releases the hosts that the program has not released. The job of a command ends with its program. */
async function giveBack(goodbye: Goodbye): Promise<void> {
  for (const each of kept.values()) if (each.client instanceof HostClient) void release(each);
  await Promise.all(releasing);
  hasGivenBack(goodbye);
}

/** A host is asked itself, and the job of a program's command through files. */
function renewerOf(url: string): Renewer {
  const folder = folderOf(url);
  if (folder === undefined) return new HostClient(url);
  const caller = new FileCaller(folder);
  return { renew: (request) => caller.call<RenewReply>(request, FILES_MS), close: () => caller.close() };
}

/** Says at once when the host's connection is lost, since a host that is killed says nothing itself. */
function watch(host: HostOfTerm, entry: Kept): void {
  entry.client.onLost?.(() => tellLost(host, entry));
}

function tellLost(host: HostOfTerm, entry: Kept): void {
  if (kept.get(keyOf(host)) === entry) parentPort?.postMessage({ lost: host } satisfies KeeperNews);
}

function renewLater(host: HostOfTerm, entry: Kept): void {
  setTimeout(() => void renew(host, entry), entry.leaseMs / IN_A_LEASE);
}

/** Renews until the last session of the program leaves the host. If one joins again, that is another entry. */
async function renew(host: HostOfTerm, entry: Kept): Promise<void> {
  if (kept.get(keyOf(host)) !== entry) return;
  try {
    if (new Journal(host.folder).isFenced(host.slot, host.term)) return;
    const { challenge } = await entry.client.renew({ challenge: entry.challenge, holder, release: false });
    entry.challenge = challenge;
  } catch {
    tellLost(host, entry);
  }
  renewLater(host, entry);
}

function keyOf({ folder, slot, term }: HostOfTerm): string {
  return `${folder}/${slot}.${term}`;
}
