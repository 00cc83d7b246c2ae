import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { REPOSITORY } from '../support/repository.js';

const read = (file: string) => readFileSync(join(REPOSITORY, file), 'utf8');

// Vitest runs nothing, and ends well, where a pattern fits no name.
test.each([
  ['scripts/fuzz.mjs', 'test/hostile/fuzz.test.ts', /const ON_DAWN = '([^']+)'/],
  ['scripts/cuts.mjs', 'test/hostile/programs.test.ts', /'-t',\s+'([^']+)'/],
  ['scripts/cuts.mjs', 'test/hostile/resume.test.ts', /'-t',\s+'([^']+)'/],
])('the pattern by which %s picks tests fits the name of one in %s', (script, tests, pattern) => {
  const picked = new RegExp(pattern.exec(read(script))?.[1] ?? 'no pattern');
  const names = [...read(tests).matchAll(/\b(?:it|test)(?:\.\w+)*\(\s*(['"`])(.+?)\1/g)].map(
    ([, , name]) => name,
  );
  expect(names.filter((name) => picked.test(name ?? ''))).toHaveLength(1);
});
