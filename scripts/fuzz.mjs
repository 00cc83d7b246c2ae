// The long form of test/hostile/fuzz.test.ts, which changes sessions of models too: npm run fuzz -- --runs 1000000 --seed 1
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values } = parseArgs({
  options: { runs: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const out = join(root, 'out');
const journal = join(out, 'fuzz-journal');
mkdirSync(out, { recursive: true });

/** The models, and the GPU on which each is recorded: Silero needs more than the null adapter has. */
const MODELS = { movenet: 'null', silero: 'software' };
const sessions = Object.entries(MODELS).map(([model, adapter]) => {
  const file = join(out, `session-${model}.bin`);
  node('--liftoff-only', join(root, 'test', 'support', 'record-program.mjs'), model, file, adapter);
  return file;
});
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
Object.assign(process.env, {
  FARLIGHT_FUZZ_RUNS: values.runs,
  FARLIGHT_FUZZ_SEED: values.seed,
  FARLIGHT_FUZZ_SESSIONS: sessions.join(),
  FARLIGHT_FUZZ_JOURNAL: journal,
});
node(vitest, 'run', 'test/hostile/fuzz.test.ts', '--disable-console-intercept');

function node(...args) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status === 0) return;
  console.error(`what was tried last: ${journal}`);
  process.exit(status ?? 1);
}
