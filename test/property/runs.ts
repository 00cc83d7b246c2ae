import { writeFileSync } from 'node:fs';
import fc from 'fast-check';

/** A number from the environment, or undefined. */
function given(name: string): number | undefined {
  const text = process.env[name];
  if (!text) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`${name} must be an integer, and is "${text}"`);
  return value;
}

/** The seed of this process's properties; FARLIGHT_PROPERTY_SEED repeats failed ones. */
const seed = given('FARLIGHT_PROPERTY_SEED') ?? Date.now() & 0x7fffffff;
console.log(`FARLIGHT_PROPERTY_SEED=${seed}`);

/** How many random programs the suite runs over memory. */
export const USUAL_PROGRAMS = 200;

/**
 * FARLIGHT_PROPERTY_RUNS sets how many programs run over memory; every other property keeps its share.
 * FARLIGHT_PROPERTY_MOST limits it.
 */
const wanted = Math.min(
  given('FARLIGHT_PROPERTY_RUNS') ?? Infinity,
  given('FARLIGHT_PROPERTY_MOST') ?? Infinity,
);
/** Whether it is only to be seen that the properties run: tests of the generators are left out. */
export const isBrief = given('FARLIGHT_PROPERTY_MOST') !== undefined;
const share = (Number.isFinite(wanted) ? wanted : USUAL_PROGRAMS) / USUAL_PROGRAMS;

/** The suite's runs take 5 s, and more on a machine that does other things. A longer run takes as long as it needs. */
export const timeout = !Number.isFinite(wanted) ? 600_000 : 24 * 3600_000;
const PATIENCE = 30_000;

/**
 * Runs a property `usual` times, or its share if more runs are wanted. Fails with the smallest counterexample
 * as data, and with the setting that repeats it.
 */
export async function check<T>(property: fc.IAsyncProperty<[T]>, usual: number): Promise<void> {
  const numRuns = Math.max(1, Math.round(usual * share));
  const limits = { timeout: PATIENCE, interruptAfterTimeLimit: timeout / 2, markInterruptAsFailure: true };
  const details = await fc.check(property, { seed, numRuns, ...limits });
  if (!details.failed) return;
  const error = details.errorInstance;
  const why = error instanceof Error ? error.message : `interrupted: ${numRuns} runs took too long`;
  throw new Error(
    `${why}\n\nfalsified after ${details.numRuns} of ${numRuns} runs and ${details.numShrinks} shrinks by\n` +
      `${fc.stringify(details.counterexample?.[0])}\n\nFARLIGHT_PROPERTY_SEED=${details.seed} repeats it`,
    { cause: error },
  );
}

const journalFile = process.env.FARLIGHT_PROPERTY_JOURNAL;

/** Writes down the case before it is tried, in case it ends the process: Dawn is a native addon. */
export function journal(tried: unknown): void {
  if (journalFile) writeFileSync(journalFile, fc.stringify(tried));
}
