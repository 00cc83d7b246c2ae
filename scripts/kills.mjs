// The long form of the kills in test/hostile: npm run kills -- --kills 50
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({ options: { kills: { type: 'string', default: '50' } } });
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [
    vitest,
    'run',
    'test/hostile/content-kills.test.ts',
    'test/hostile/lost-host.test.ts',
    '--disable-console-intercept',
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, FARLIGHT_BLOB_KILLS: values.kills, FARLIGHT_KILLS: values.kills },
  },
);
process.exit(status ?? 1);
