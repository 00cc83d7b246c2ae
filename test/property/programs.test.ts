import fc from 'fast-check';
import { expect, test } from 'vitest';
import { interpret } from './interpreter.js';
import type { Name } from './operations.js';
import { OPERATIONS } from './operations.js';
import { programs } from './programs.js';
import type { Observations } from './run.js';
import { check, isBrief, journal, timeout, USUAL_PROGRAMS } from './runs.js';
import { open } from './targets.js';

for (const [name, usual, times, which] of [
  ['memory', USUAL_PROGRAMS, 1, 'a random program'],
  ['memory', USUAL_PROGRAMS / 4, 4, 'a random program that makes equal objects again and again'],
  ['host', USUAL_PROGRAMS / 4, 1, 'a random program'],
] as const) {
  test(`${which} sees the same through Farlight (${name}) as on local Dawn`, {
    timeout,
  }, async () => {
    const [local, farlight] = [await open('local'), await open(name)];
    const property = fc.asyncProperty(programs, async (program) => {
      journal(program);
      const here = await interpret(local.gpu, program, times);
      const there = await interpret(farlight.gpu, program, times);
      expect(there.calls, 'the immediate results of calls').toEqual(here.calls);
      expect(there.promises, 'the settled promises').toEqual(here.promises);
      expect(there.uncaptured, 'errors that no scope catches').toEqual(here.uncaptured);
      // Local Dawn settles mappings that fail too late: see the known deviations.
      expect(there.misordered, 'promises that are settled too early').toEqual([]);
    });
    await check(property, usual);
  });
}

/** A good share of random programs must reach each of these, or the property above would mean little. */
const COVERED: [what: string, percent: number, seen: (observed: Observations) => boolean][] = [
  ['a validation error', 60, ({ uncaptured }) => some(uncaptured, /GPUValidationError/)],
  ['an error in a scope', 5, ({ promises }) => some(promises, /popScope: GPUValidationError/)],
  ['an exception', 20, ({ calls }) => some(calls, /throws/)],
  ['a mapping', 20, ({ promises }) => some(promises, /map: mapped/)],
  ['a rejected mapping', 10, ({ promises }) => some(promises, /map: rejected/)],
  ['a range of a mapping', 20, ({ calls }) => some(calls, /range: \d+ bytes/)],
  [
    'a buffer with contents other than zero',
    25,
    ({ calls }) => some(calls, /buffer \d+ has (00)*[0-9a-f]*[1-9a-f]/),
  ],
  ['a texture that was drawn to', 10, ({ calls }) => some(calls, /texture \d+ has (?=[0-9a-f]*00ff00ff)/)],
  [
    'a program without any mistake',
    1,
    ({ calls, uncaptured }) => !some(calls, /throws|no /) && !uncaptured.length,
  ],
  [
    'a lost device',
    2,
    ({ calls }) => some(calls, /destroyDevice/) || some(calls, /rejected with AbortError/),
  ],
];

const some = (texts: readonly string[], pattern: RegExp) => texts.some((text) => pattern.test(text));

test.skipIf(isBrief)('random programs cover most of what programs do', { timeout }, async () => {
  const { gpu } = await open('local');
  // Always the same programs: this tests the generator, and must not fail by chance.
  const sample = fc.sample(programs, { seed: 1, numRuns: 150 });
  const observed: Observations[] = [];
  for (const program of sample) observed.push(await interpret(gpu, program));

  const missed = (Object.keys(OPERATIONS) as Name[]).filter(
    (name) => !sample.some((program) => program.some(({ op }) => op === name)),
  );
  expect(missed, 'operations that no program has').toEqual([]);
  const done = (name: Name) =>
    sample.some((program, index) =>
      program.some(
        ({ op }, at) =>
          op === name &&
          !observed[index]?.calls.some((call) => new RegExp(`^${at} ${op}: (no|throws)`).test(call)),
      ),
    );
  expect(
    (Object.keys(OPERATIONS) as Name[]).filter((name) => !done(name)),
    'that never work',
  ).toEqual([]);
  for (const [what, percent, seen] of COVERED) {
    const share = (observed.filter(seen).length / observed.length) * 100;
    expect(share, `percent of programs with ${what}`).toBeGreaterThanOrEqual(percent);
  }
});
