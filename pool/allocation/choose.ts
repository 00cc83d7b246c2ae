import type { Allocation } from './allocation.js';

/** The next step of a program that needs a host. */
export type Choice =
  | { readonly do: 'join'; readonly slot: number }
  | { readonly do: 'claim'; readonly slot: number }
  | { readonly do: 'wait'; readonly why: string };

/** An allocation of the pool, with the number of sessions that its host has, where it answers. */
export interface Slot {
  readonly slot: number;
  readonly allocation: Allocation;
  readonly sessions: number | undefined;
}

/**
 * Which host a program gets: one that nobody uses, else a new one, else the one with the fewest sessions. The pool has no
 * more slots than hosts that it may have.
 */
export function choose(slots: readonly Slot[]): Choice {
  const ready = slots.filter(
    ({ allocation, sessions }) => allocation.phase === 'ready' && sessions !== undefined,
  );
  const least = ready.sort((one, other) => (one.sessions ?? 0) - (other.sessions ?? 0))[0];
  if (least?.sessions === 0) return { do: 'join', slot: least.slot };
  const mine = slots.find(({ allocation }) => allocation.isMine && isComing(allocation));
  if (mine) return { do: 'wait', why: told(mine) };
  const free = slots.find(({ allocation: { phase } }) => ['wanted', 'ended', 'failed'].includes(phase));
  if (free) return { do: 'claim', slot: free.slot };
  if (least) return { do: 'join', slot: least.slot };
  const next = slots.find(({ allocation }) => isComing(allocation)) ?? slots[0];
  return { do: 'wait', why: next ? told(next) : 'the pool has no hosts' };
}

function isComing({ phase }: Allocation): boolean {
  return phase === 'queued' || phase === 'starting';
}

function told({ allocation: { phase, why } }: Slot): string {
  return `${phase === 'ready' ? 'silent' : phase}: ${why}`;
}
