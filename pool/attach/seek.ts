import { existsSync, readFileSync } from 'node:fs';
import { monotonicNow } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import { FarlightError } from '../../proto/errors.js';
import { choose, inLine, type Situation, type Slot } from '../allocation/choose.js';
import { inTurn, type Ticket, type Want } from '../allocation/line.js';
import { lastWords } from '../host/report.js';
import { joinHost, leaveHost, lookAtHost, startKeeper } from './keeper.js';
import type { HostOfTerm } from './keeper-thread.js';
import type { PoolView } from './pool-view.js';
import { giveUpAtSignal, stayAlive } from './while-waiting.js';

/** How often to look at files of this machine while a host is awaited, in milliseconds. */
const LOOK_MS = 25;
/** A scheduler, and the line of those who wait, are looked at less and less often: many programs do it. */
const ASK_MS = { first: 500, longest: 3000, growth: 1.1 };

/**
 * Finds hosts of a pool, and has the engine start those that are missing. Resolves when all of them are ready and their
 * leases are renewed. Until then it keeps the process alive, and where the process ends by a signal its jobs are
 * cancelled.
 *
 * @param signal gives up. @param shown gets the reason for the wait, each time that it changes.
 * @throws FarlightError BAD_OPTION where the pool is too small; UNREACHABLE where it has no host in time, or a host fails
 *   (rejects).
 */
export async function seekHosts(
  view: PoolView,
  want: Want,
  { signal, shown = showOnTerminal(view.pool.name) }: { signal: AbortSignal; shown?: (what: string) => void },
): Promise<HostOfTerm[]> {
  const { name, max } = view.pool;
  if (want.hosts > max) {
    const why = `the pool ${name} has at most ${max} ${max === 1 ? 'host' : 'hosts'}, and the program asks for ${want.hosts}; raise the pool's max`;
    throw new FarlightError('BAD_OPTION', why);
  }
  const letEnd = stayAlive();
  const forget = cancelAtExit(view);
  try {
    startKeeper();
    return await waitForHosts(view, want, signal, onChange(shown));
  } catch (error) {
    await view.giveUp('the program that asked for it has given up');
    throw error;
  } finally {
    forget();
    letEnd();
  }
}

async function waitForHosts(
  view: PoolView,
  want: Want,
  signal: AbortSignal,
  show: (what: string) => void,
): Promise<HostOfTerm[]> {
  const { pool, line } = view;
  const deadline = monotonicNow() + pool.wait;
  // Where a host takes any number of sessions, nobody waits in line unless there is no host at all.
  let isInLine = want.isExclusive || want.hosts > 1 || Number.isFinite(pool.sessions);
  let ms = ASK_MS.first;
  for (;;) {
    if (isInLine && !line.hasTicket) line.take(want);
    const { ahead, why: turn } = programsAhead(view);
    let why = turn;
    // The programs whose turn is next look at the engine, and do what is due. So does a program that has claimed a host,
    // however many have taken tickets since: nobody else submits its job.
    if (ahead.length <= pool.max || view.mine.length > 0) {
      await view.look();
      throwIfFailed(view);
      const slots = await Promise.all(view.slots.map((slot) => asked(view, slot)));
      const choice = choose(slots, situationOf(view, want, ahead));
      if (choice.do === 'claim') {
        if (claimAll(view, choice.slots)) continue;
      } else if (choice.do === 'join') {
        const hosts = await joinAll(view, choice.slots);
        if (hosts) {
          show('ready');
          return hosts;
        }
      } else if (view.mine.length === 0) isInLine = true;
      why = view.silence ?? (choice.do === 'wait' ? choice.why : 'the host does not answer');
    }
    show(why);
    if (signal.aborted) throw new FarlightError('DISCONNECTED', 'This GPU was closed by the program.');
    if (monotonicNow() >= deadline) {
      const seconds = pool.wait / 1000;
      const message = `the pool ${pool.name} had no host within ${seconds} seconds (${why}); try again later, or give it a longer wait`;
      throw new FarlightError('UNREACHABLE', message);
    }
    await pause(pool.engine.isHere ? Math.min(LOOK_MS * (1 + ahead.length), ASK_MS.longest) : ms, signal);
    ms = Math.min(ms * ASK_MS.growth, ASK_MS.longest);
  }
}

/** The tickets of the programs whose turn is before this one's. One without a ticket is behind all. */
function programsAhead({ line, pool, held }: PoolView): { ahead: Ticket[]; why: string } {
  const { tickets, mine } = line.look();
  const order = inTurn(tickets, held);
  const at = order.findIndex(({ id }) => id === mine);
  const ahead = at < 0 ? order : order.slice(0, at);
  line.check(ahead.slice(0, pool.max + 1));
  return { ahead, why: inLine(ahead.length) };
}

/** A program's situation. The wants of the programs ahead are without the hosts that were started for them already. */
function situationOf(view: PoolView, want: Want, ahead: readonly Ticket[]): Situation {
  const started = (id: string) =>
    view.slots.filter((slot) => view.allocation(slot).facts.claimedBy?.ticket === id).length;
  return {
    want,
    sessions: view.pool.sessions,
    ahead: ahead.map(({ id, want }) => ({ ...want, hosts: Math.max(0, want.hosts - started(id)) })),
  };
}

/** A host that is ready says how many sessions it has, if it answers. One for a program's command takes none. */
async function asked(view: PoolView, slot: number): Promise<Slot> {
  const allocation = view.allocation(slot);
  const { claimedBy, ready } = allocation.facts;
  const host = allocation.phase === 'ready' && !ready?.isExclusive ? hostOf(view, slot) : undefined;
  const sessions = host && (await lookAtHost(host));
  if (host) view.answered(slot, sessions !== undefined);
  // The program that it was started for waits in line, and has not joined yet.
  const isReserved = !allocation.isMine && view.line.has(claimedBy?.ticket);
  const counted = sessions === 0 && isReserved ? 1 : sessions;
  return { slot, allocation: view.allocation(slot), sessions: counted };
}

function hostOf(view: PoolView, slot: number): HostOfTerm | undefined {
  const { term, ready } = view.allocation(slot).facts;
  return ready && { folder: view.journal.folder, slot, term, url: ready.url };
}

/** Claims all of these, or none. @returns false where another program was first. */
function claimAll(view: PoolView, slots: readonly number[]): boolean {
  for (const [at, slot] of slots.entries()) {
    if (view.claim(slot, view.allocation(slot).facts.term + 1)) continue;
    for (const claimed of slots.slice(0, at)) view.unclaim(claimed);
    return false;
  }
  return true;
}

/** Joins all of these, or none. */
async function joinAll(view: PoolView, slots: readonly number[]): Promise<HostOfTerm[] | undefined> {
  const joined: HostOfTerm[] = [];
  for (const slot of slots) {
    const host = hostOf(view, slot);
    if (host && (await joinHost(host))) joined.push(host);
    else {
      view.answered(slot, false);
      for (const each of joined) void leaveHost(each, false);
      return undefined;
    }
  }
  for (const slot of slots) view.disown(slot);
  // Where another host was ready before the one that was started for this program.
  await view.giveUp('the program has another host');
  return joined;
}

/** A host that this program has asked for, and that was never ready, fails the request: another would fail too. */
function throwIfFailed(view: PoolView): void {
  for (const { slot, term } of view.mine) {
    const { phase, facts, why } = view.allocation(slot);
    if (facts.term !== term || phase !== 'failed') continue;
    view.disown(slot);
    const log = view.journal.logOf(slot, term);
    const said = existsSync(log) ? lastWords(readFileSync(log, 'utf8')) : undefined;
    const message = `the pool ${view.pool.name} got no host: ${why}${said ? ` (${said})` : ''}; its output is in ${log}`;
    throw new FarlightError('UNREACHABLE', message);
  }
}

/** Cancels the jobs that are awaited, if the process ends meanwhile. @returns a function that stops this. */
function cancelAtExit(view: PoolView): () => void {
  const why = 'the program that asked for it has ended';
  const exit = () => view.giveUpNow(why);
  process.on('exit', exit);
  const forget = giveUpAtSignal(() => view.giveUp(why));
  return () => {
    process.off('exit', exit);
    forget();
  };
}

/** Tells a person at a terminal what the program waits for. */
function showOnTerminal(name: string): (what: string) => void {
  return (what) => {
    if (process.stderr.isTTY) process.stderr.write(`farlight: pool ${name}: ${what}\n`);
  };
}

function onChange(tell: (what: string) => void): (what: string) => void {
  let last = '';
  return (what) => {
    if (what === last) return;
    last = what;
    tell(what);
  };
}
