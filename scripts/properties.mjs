// The long form of test/property: npm run properties -- --runs 5000 --seed 1
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5000' }, seed: { type: 'string', default: '' } },
});
const journal = join(root, 'out', 'property-journal');
mkdirSync(dirname(journal), { recursive: true });

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
// One file after the other: they share the journal, in which a crash of Dawn leaves what it was asked.
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/property', '--no-file-parallelism'], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    FARLIGHT_PROPERTY_RUNS: values.runs,
    FARLIGHT_PROPERTY_SEED: values.seed,
    FARLIGHT_PROPERTY_JOURNAL: journal,
  },
});
if (status !== 0) console.error(`what was tried last: ${journal}`);
process.exit(status ?? 1);
