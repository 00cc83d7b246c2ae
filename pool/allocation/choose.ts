import type { Allocation } from './allocation.js';
import type { Want } from './line.js';

/** The next step of a program that needs hosts. */
export type Choice =
  /** All of its hosts are ready. */
  | { readonly do: 'join'; readonly slots: readonly number[] }
  /** Have hosts started, all or none. */
  | { readonly do: 'claim'; readonly slots: readonly number[] }
  | { readonly do: 'wait'; readonly why: string };

/** An allocation of the pool, with the number of sessions that its host has, where it answers. */
export interface Slot {
  readonly slot: number;
  readonly allocation: Allocation;
  readonly sessions: number | undefined;
}

export interface Situation {
  readonly want: Want;
  /** How many sessions one host may have. */
  readonly sessions: number;
  /** The wants of the programs whose turn is before this one's. */
  readonly ahead: readonly Want[];
}

/**
 * Which hosts a program gets: those that nobody uses, else new ones, else the ones with the fewest sessions. For a command
 * of the program it gets a new one. The pool has no more slots than hosts that it may have. The program leaves the hosts
 * that those before it in the line need: so one that needs several hosts gets them.
 */
export function choose(slots: readonly Slot[], { want, sessions, ahead }: Situation): Choice {
  const phaseIs = (...phases: string[]) =>
    slots.filter(({ allocation }) => phases.includes(allocation.phase));
  const ready = phaseIs('ready')
    .filter((each) => each.sessions !== undefined && each.sessions < sessions)
    .sort((one, other) => (one.sessions ?? 0) - (other.sessions ?? 0));
  const coming = phaseIs('queued', 'starting').filter(({ allocation }) => allocation.isMine);
  const free = phaseIs('wanted', 'ended', 'failed');
  const unused = ready.filter((each) => each.sessions === 0);
  const left = leftBy(ahead, {
    unused: unused.length,
    free: free.length,
    places: ready.reduce((sum, each) => sum + sessions - Math.max(1, each.sessions ?? 0), 0),
  });
  const isMine = ({ allocation }: Slot) => allocation.isMine && allocation.phase === 'ready';
  const started = [...coming, ...free.slice(0, left.free)];
  const picked = (
    want.isExclusive
      ? [...slots.filter(isMine), ...started]
      : [...new Set([...unused.slice(0, left.unused), ...started, ...ready.slice(0, left.places)])]
  ).slice(0, want.hosts);
  if (picked.length < want.hosts) return { do: 'wait', why: reason(slots, ahead) };
  const claimed = picked.filter((each) => free.includes(each));
  if (claimed.length > 0) return { do: 'claim', slots: numbers(claimed) };
  const waited = picked.find((each) => coming.includes(each));
  return waited ? { do: 'wait', why: told(waited) } : { do: 'join', slots: numbers(picked) };
}

interface Left {
  /** Hosts without a session. */
  readonly unused: number;
  /** Hosts that may be started. */
  readonly free: number;
  /** How many sessions the hosts may have beside the first of each. */
  readonly places: number;
}

/** The hosts and places that are left when the programs ahead have theirs. */
function leftBy(ahead: readonly Want[], { unused, free, places }: Left): Left {
  for (const { hosts, isExclusive } of ahead) {
    const joined = isExclusive ? 0 : Math.min(unused, hosts);
    const started = Math.min(free, hosts - joined);
    unused -= joined;
    free -= started;
    if (!isExclusive) places = Math.max(0, places - (hosts - joined - started));
  }
  return { unused, free, places };
}

function reason(slots: readonly Slot[], ahead: readonly Want[]): string {
  if (ahead.length > 0) return inLine(ahead.length);
  const next = slots.find(({ allocation: { phase } }) => phase === 'queued' || phase === 'starting');
  const busy = slots.every(({ allocation: { phase } }) => phase === 'ready');
  if (busy && slots.length === 1) return "queued: the pool's only host is in use";
  if (busy) return `queued: all ${slots.length} hosts of the pool are in use`;
  const first = next ?? slots[0];
  return first ? told(first) : 'the pool has no hosts';
}

/** Why a program waits for its turn. */
export function inLine(ahead: number): string {
  return `queued: ${ahead === 1 ? 'one program is' : `${ahead} programs are`} before it in the pool's line`;
}

function told({ allocation: { phase, why } }: Slot): string {
  return `${phase === 'ready' ? 'silent' : phase}: ${why}`;
}

function numbers(slots: readonly Slot[]): number[] {
  return slots.map(({ slot }) => slot);
}
