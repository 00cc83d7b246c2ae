/** Asks the thread that renews the leases of this program's hosts. There is one for the whole process. */
import type { Worker } from 'node:worker_threads';
import { native } from '../../link/machine/globals.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { startThread } from '../../link/machine/thread.js';
import { giveBackAtExit } from './at-exit.js';
import type { HostOfTerm, KeeperNews, KeeperReply, KeeperRequest } from './keeper-thread.js';
import { stayAlive } from './while-waiting.js';

let worker: Worker | undefined;
let latest = 0;
const waiting = new Map<number, (reply: KeeperReply) => void>();
/** The listeners for hosts that do not answer. */
const watchers = new Map<HostOfTerm, () => void>();

/** Starts the thread, which takes a moment, before it is needed. */
export function startKeeper(): Worker {
  if (worker) return worker;
  const program = packageProgram('pool/attach/keeper-thread.js');
  const started = startThread(program, { name: 'farlight pool' });
  worker = started;
  started.on('message', (message: KeeperReply | KeeperNews) => {
    if ('lost' in message) {
      for (const [host, told] of watchers) if (isSame(host, message.lost)) told();
      return;
    }
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  const gone = () => {
    // A thread that fails also exits, and the requests of that moment may be another thread's.
    if (worker !== started) return;
    worker = undefined;
    for (const [id, settle] of waiting) settle({ id });
    waiting.clear();
  };
  started.on('error', gone);
  started.on('exit', gone);
  // Last, since a listener for messages would keep the process alive.
  started.unref();
  return started;
}

/** How many sessions are open on a host; undefined where it does not answer. */
export async function countSessions(host: HostOfTerm): Promise<number | undefined> {
  return (await ask({ do: 'count', host })).sessions;
}

/** How many programs have a host; undefined where it does not answer. */
export async function lookAtHost(host: HostOfTerm): Promise<number | undefined> {
  return (await ask({ do: 'look', host })).sessions;
}

/** Renews a host's lease from now on. Keeps the process alive until it is. @returns whether the host takes sessions. */
export async function joinHost(host: HostOfTerm): Promise<boolean> {
  giveBackAtExit(startKeeper());
  return (await holding(ask({ do: 'join', host }))).sessions !== undefined;
}

/** Tells hosts that the program does not need them any more. Keeps the process alive until they know. */
export async function releaseHosts(hosts: readonly HostOfTerm[]): Promise<void> {
  await holding(Promise.all(hosts.map((host) => leaveHost(host, true))));
}

async function holding<T>(asked: Promise<T>): Promise<T> {
  const letEnd = stayAlive();
  try {
    return await asked;
  } finally {
    letEnd();
  }
}

/** A session with the host is over. `released`: the program does not need the host any more. Resolves when it knows. */
export async function leaveHost(host: HostOfTerm, released: boolean): Promise<void> {
  await ask({ do: 'leave', host, released });
}

/** Calls this each time that a host whose lease is renewed is found not to answer. @returns a function that stops it. */
export function onLost(host: HostOfTerm, told: () => void): () => void {
  const own = { ...host };
  watchers.set(own, told);
  return () => watchers.delete(own);
}

function isSame(one: HostOfTerm, other: HostOfTerm): boolean {
  return one.folder === other.folder && one.slot === other.slot && one.term === other.term;
}

/** A request without its number. */
type Asked = KeeperRequest extends infer Each
  ? Each extends KeeperRequest
    ? Omit<Each, 'id'>
    : never
  : never;

function ask(request: Asked): Promise<KeeperReply> {
  latest += 1;
  const id = latest;
  return new native.Promise((resolve) => {
    waiting.set(id, resolve);
    startKeeper().postMessage({ id, ...request });
  });
}
