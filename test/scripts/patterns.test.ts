import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { REPOSITORY } from '../support/repository.js';

const read = (file: string) => readFileSync(join(REPOSITORY, file), 'utf8');

// Vitest runs nothing, and ends well, where a pattern fits no name.
test.each([
  ['scripts/fuzz.mjs', /const ON_DAWN = '([^']+)'/, 'test/hostile/fuzz.test.ts'],
  ['scripts/cuts.mjs', /'-t', '([^']+)'/, 'test/hostile/programs.test.ts'],
])('the pattern by which %s picks tests fits the name of one', (script, pattern, tests) => {
  const [, picked = 'no pattern'] = pattern.exec(read(script)) ?? [];
  const names = [...read(tests).matchAll(/\b(?:it|test)(?:\.\w+)*\(\s*(['"`])(.+?)\1/g)].map(
    ([, , name]) => name,
  );
  expect(names.filter((name) => name?.includes(picked))).toHaveLength(1);
});
