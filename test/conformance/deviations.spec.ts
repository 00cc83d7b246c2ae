import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { knownLocalDeviations } from '../support/gpus/deviations.js';

test('a spec meets every known deviation of local Dawn', () => {
  const folder = new URL('.', import.meta.url);
  const specs = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'));
  const met = (deviation: string) => specs.some((text) => text.includes(`deviation: '${deviation}'`));
  expect(Object.keys(knownLocalDeviations).filter((deviation) => !met(deviation))).toEqual([]);
});
