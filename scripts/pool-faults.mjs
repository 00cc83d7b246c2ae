// The long form of test/pool/faults.test.ts: npm run pool-faults -- --times 50
// --only TEXT: those whose names have this text.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { times: { type: 'string', default: '50' }, only: { type: 'string', default: '' } },
});
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', 'test/pool/faults.test.ts', '--disable-console-intercept', '-t', values.only],
  { cwd: root, stdio: 'inherit', env: { ...process.env, FARLIGHT_POOL_FAULTS: values.times } },
);
process.exit(status ?? 1);
