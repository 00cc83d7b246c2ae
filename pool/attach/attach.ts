import { type OpenOptions, remoteHost } from '../../client/transport/open.js';
import type { Transport } from '../../client/transport/transport.js';
import {
  clearInterval,
  clearTimeout,
  monotonicNow,
  setInterval,
  setTimeout,
} from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { FarlightError } from '../../proto/errors.js';
import { choose, type Slot } from '../allocation/choose.js';
import { type Pool, readPool } from '../file/pool-file.js';
import { lastWords } from '../host/report.js';
import { joinHost, leaveHost, lookAtHost, startKeeper } from './keeper.js';
import type { HostOfTerm } from './keeper-thread.js';
import { PoolView } from './pool-view.js';

export interface AttachOptions extends OpenOptions {
  /** Gives up. */
  signal: AbortSignal;
}

/** How often to look at files of this machine while a host is awaited, in milliseconds. */
const LOOK_MS = 25;
/** A scheduler is asked less and less often, because many programs wait for it. */
const ASK_MS = { first: 500, longest: 3000, growth: 1.1 };
const EVER_MS = 2 ** 31 - 1;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Finds a host of a pool for one session, and has the engine start one where there is none. Resolves when the host takes
 * sessions. Until then it keeps the process alive, and where the process ends by a signal its job is cancelled.
 *
 * @throws FarlightError BAD_URL, BAD_OPTION for the pool; UNREACHABLE where it has no host in time, or the host fails
 *   (rejects).
 */
export async function attach(address: string, { signal, ...options }: AttachOptions): Promise<Transport> {
  const pool = readPool(address);
  const view = new PoolView(pool);
  const hold = setInterval(() => {}, EVER_MS);
  const forget = cancelAtExit(view);
  try {
    startKeeper();
    const host = await waitForHost(view, signal);
    return transportOf(host, pool, address, { ...options, signal });
  } catch (error) {
    await view.giveUp('the program that asked for it has given up');
    throw error;
  } finally {
    forget();
    clearInterval(hold);
  }
}

async function waitForHost(view: PoolView, signal: AbortSignal): Promise<HostOfTerm> {
  const { pool } = view;
  const show = shown(pool.name);
  const deadline = monotonicNow() + pool.wait;
  let ms = ASK_MS.first;
  for (;;) {
    await view.look();
    throwIfFailed(view);
    const slots: Slot[] = await Promise.all(view.slots.map((slot) => asked(view, slot)));
    const choice = choose(slots);
    if (choice.do === 'join') {
      const host = hostOf(view, choice.slot);
      if (host && (await joinHost(host))) {
        show('ready');
        view.disown(choice.slot);
        return host;
      }
      view.answered(choice.slot, false);
    } else if (choice.do === 'claim') {
      view.claim(choice.slot, view.allocation(choice.slot).facts.term + 1);
      continue;
    }
    const why = view.silence ?? (choice.do === 'wait' ? choice.why : 'the host does not answer');
    show(why);
    if (signal.aborted) throw new FarlightError('DISCONNECTED', 'This GPU was closed by the program.');
    if (monotonicNow() >= deadline) {
      const seconds = pool.wait / 1000;
      const message = `the pool ${pool.name} had no host within ${seconds} seconds (${why}); try again later, or give it a longer wait`;
      throw new FarlightError('UNREACHABLE', message);
    }
    await pause(pool.engine.isHere ? LOOK_MS : ms, signal);
    ms = Math.min(ms * ASK_MS.growth, ASK_MS.longest);
  }
}

/** A host that is ready says how many sessions it has, if it answers. */
async function asked(view: PoolView, slot: number): Promise<Slot> {
  const host = view.allocation(slot).phase === 'ready' ? hostOf(view, slot) : undefined;
  const sessions = host && (await lookAtHost(host));
  if (host) view.answered(slot, sessions !== undefined);
  return { slot, allocation: view.allocation(slot), sessions };
}

function hostOf(view: PoolView, slot: number): HostOfTerm | undefined {
  const { term, ready } = view.allocation(slot).facts;
  return ready && { folder: view.journal.folder, slot, term, url: ready.url };
}

/** A host that this program has asked for, and that was never ready, fails the request: another would fail too. */
function throwIfFailed(view: PoolView): void {
  for (const { slot, term } of view.mine) {
    const { phase, facts, why } = view.allocation(slot);
    if (facts.term !== term || phase !== 'failed') continue;
    view.disown(slot);
    const log = view.journal.logOf(slot, term);
    const said = lastWords(log);
    const message = `the pool ${view.pool.name} got no host: ${why}${said ? ` (${said})` : ''}; its output is in ${log}`;
    throw new FarlightError('UNREACHABLE', message);
  }
}

/** The way to the host, for one session. When that is over, or never begins, its lease is renewed no more. */
function transportOf(host: HostOfTerm, pool: Pool, target: string, options: AttachOptions): Transport {
  const { signal, ...rest } = options;
  const way = remoteHost(host.url, rest);
  let isOpen = false;
  signal.addEventListener('abort', () => {
    if (!isOpen) leaveHost(host, true);
  });
  if (signal.aborted) leaveHost(host, true);
  return {
    target,
    idleMs: pool.idle,
    open: (hello, events) => {
      isOpen = true;
      return way.open(hello, {
        ...events,
        onClose: (reason) => {
          leaveHost(host, reason === undefined);
          events.onClose(reason);
        },
      });
    },
  };
}

/** Cancels the jobs that are awaited, if the process ends meanwhile. @returns a function that stops this. */
function cancelAtExit(view: PoolView): () => void {
  const why = 'the program that asked for it has ended';
  const exit = () => view.giveUpNow(why);
  const signalled = SIGNALS.map((signal) => {
    const listener = () => {
      // A program that listens itself decides what a signal does.
      if (process.listenerCount(signal) > 1) return;
      // Once: a second signal does not wait for the engine.
      process.off(signal, listener);
      void view.giveUp(why).finally(() => process.kill(process.pid, signal));
    };
    return [signal, listener] as const;
  });
  process.on('exit', exit);
  for (const [signal, listener] of signalled) process.on(signal, listener);
  return () => {
    process.off('exit', exit);
    for (const [signal, listener] of signalled) process.off(signal, listener);
  };
}

/** Tells a person at a terminal what the program waits for, where it changes. */
function shown(name: string): (what: string) => void {
  let last = '';
  return (what) => {
    if (what === last || !process.stderr.isTTY) return;
    last = what;
    process.stderr.write(`farlight: pool ${name}: ${what}\n`);
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new native.Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
