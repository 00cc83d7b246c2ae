// The long form of test/hostile/fuzz.test.ts: npm run fuzz -- --runs 100000 --seed 1
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
});
const journal = join(root, 'out', 'fuzz-journal.json');
mkdirSync(dirname(journal), { recursive: true });
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', 'test/hostile/fuzz.test.ts', '--disable-console-intercept'],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      FARLIGHT_FUZZ_RUNS: values.runs,
      FARLIGHT_FUZZ_SEED: values.seed,
      FARLIGHT_FUZZ_JOURNAL: journal,
    },
  },
);
if (status !== 0) console.error(`what was tried last: ${journal}`);
process.exit(status ?? 1);
