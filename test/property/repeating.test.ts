import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stats } from '#farlight/client/index.js';
import { interpret } from './interpreter.js';
import { repeatingPrograms } from './repeating.js';
import { check, isBrief, journal, timeout, USUAL_PROGRAMS } from './runs.js';
import { open } from './targets.js';

test('a program that repeats itself and then changes its mind sees through Farlight what it sees on local Dawn', {
  timeout,
}, async () => {
  const [local, farlight] = [await open('local'), await open('memory')];
  const property = fc.asyncProperty(repeatingPrograms, async (program) => {
    journal(program);
    const here = await interpret(local.gpu, program);
    const there = await interpret(farlight.gpu, program);
    expect(there.calls, 'what calls do at once').toEqual(here.calls);
    expect(there.promises, 'how promises are settled').toEqual(here.promises);
    expect(there.uncaptured, 'errors that no scope catches').toEqual(here.uncaptured);
    expect(there.misordered, 'promises that are settled too early').toEqual([]);
  });
  await check(property, USUAL_PROGRAMS);
});

test.skipIf(isBrief)(
  'such programs are mostly answered ahead, and now and then in vain',
  { timeout },
  async () => {
    const { gpu } = await open('memory');
    const before = stats(gpu);
    // Always the same ones: this is about the generator, and must not fail by chance.
    const sample = fc.sample(repeatingPrograms, { seed: 1, numRuns: 60 });
    for (const program of sample) await interpret(gpu, program);
    const after = stats(gpu);
    expect(after.waitsSaved - before.waitsSaved).toBeGreaterThan(200);
    expect(after.bytesAheadWasted - before.bytesAheadWasted).toBeGreaterThan(0);
  },
);
