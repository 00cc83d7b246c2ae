import type { Stats } from '../client/session/stats.js';

/**
 * The waits and bytes of one step of a program: the difference of two results of `stats(gpu)`, or a part of
 * it. A wait that a read ahead has saved (`waitsSaved`) is not among the waits, and costs no round trip.
 */
export type StepCounts = Pick<Stats, 'waits' | 'bytesUp' | 'bytesDown'>;

/** A link to a host. */
export interface StepLink {
  /** The round trip, in milliseconds. */
  rttMs: number;
  /** Megabits (1,000,000 bits) a second, in each direction; undefined: no limit. */
  mbit?: number | undefined;
}

/**
 * Predicts how long a step of a program takes on a link, in milliseconds. This is the time with a host beside
 * it (`localMs`, the same session's step over loopback), a round trip for each wait, and the time for its
 * bytes.
 *
 * It assumes that the program does one thing at a time: each wait begins when the one before has ended, and
 * nothing is computed while bytes are on the line. A program that waits for several things at once, or that
 * sends while it computes, is faster.
 */
export function predictStepMs(localMs: number, step: StepCounts, link: StepLink): number {
  const bits = 8 * (step.bytesUp + step.bytesDown);
  const onTheLineMs = link.mbit === undefined ? 0 : bits / (link.mbit * 1000);
  return localMs + step.waits * link.rttMs + onTheLineMs;
}
