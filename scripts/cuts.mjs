// The long form of the random cuts in test/hostile: npm run cuts -- --count 500 --seed 1 [--through nginx]
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    // The proxy on the way: none, or `nginx`. Connections are cut in front of it and behind it in turn.
    through: { type: 'string', default: '' },
  },
});
if (!['', 'nginx'].includes(values.through)) {
  process.stderr.write(`--through takes nginx, not ${values.through}\n`);
  process.exit(2);
}
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [
    vitest,
    'run',
    'test/hostile/programs.test.ts',
    'test/hostile/resume.test.ts',
    '-t',
    'cuts in them|cuts at random places',
    '--disable-console-intercept',
  ],
  {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: 'inherit',
    env: {
      ...process.env,
      FARLIGHT_CUTS: values.count,
      FARLIGHT_CUTS_SEED: values.seed,
      FARLIGHT_CUTS_THROUGH: values.through,
    },
  },
);
process.exit(status ?? 1);
