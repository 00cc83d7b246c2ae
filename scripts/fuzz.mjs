// The long form of test/hostile/fuzz.test.ts, which changes sessions of models too, and, with a tenth of the runs, of
// test/hostile/infer-requests.test.ts, job-files.test.ts and stream-inputs.test.ts: npm run fuzz -- --runs 1000000 --seed 1
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
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
  node(
    '--liftoff-only',
    join(root, 'test', 'support', 'programs', 'record-program.mjs'),
    model,
    file,
    adapter,
  );
  return file;
});
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
Object.assign(process.env, {
  FARLIGHT_FUZZ_RUNS: values.runs,
  FARLIGHT_FUZZ_SEED: values.seed,
  FARLIGHT_FUZZ_SESSIONS: sessions.join(),
  FARLIGHT_FUZZ_JOURNAL: journal,
});
const requests = { ...process.env, FARLIGHT_FUZZ_RUNS: String(Math.ceil(Number(values.runs) / 10)) };
const ofRequests = [
  vitest,
  'run',
  'test/hostile/infer-requests.test.ts',
  'test/hostile/job-files.test.ts',
  'test/hostile/stream-inputs.test.ts',
  '--disable-console-intercept',
];
if (spawnSync(process.execPath, ofRequests, { cwd: root, stdio: 'inherit', env: requests }).status !== 0) {
  process.exit(1);
}
const ON_DAWN = 'the GPU of an executor';
node(...fuzz(`^(?!.*${ON_DAWN})`));

/** Dawn is a native addon. Where it takes the process with it, what it did not try is left to another one. */
const crashes = [];
while (spawnSync(process.execPath, fuzz(ON_DAWN), { cwd: root, stdio: 'inherit' }).status !== 0) {
  const said = readFileSync(journal, 'utf8').trim();
  const run = Number(/run (\d+)$/.exec(said)?.[1]);
  // A run that fails again alone has found something; so has a test that says what is wrong.
  const again = { ...process.env, FARLIGHT_FUZZ_ONLY: String(run) };
  const repeated = spawnSync(process.execPath, fuzz(ON_DAWN), { cwd: root, stdio: 'inherit', env: again });
  crashes.push(said);
  if (repeated.status !== 0 || crashes.length > 10) fail();
  process.env.FARLIGHT_FUZZ_BEGIN = String(run + 1);
}
console.error(`crashes of Dawn that the same run alone did not repeat: ${crashes.length}`);
for (const crash of crashes) console.error(`  ${crash}`);

function fuzz(pattern) {
  return [vitest, 'run', 'test/hostile/fuzz.test.ts', '-t', pattern, '--disable-console-intercept'];
}

function node(...args) {
  if (spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status !== 0) fail();
}

function fail() {
  console.error(`what was tried last: ${readFileSync(journal, 'utf8').trim()}`);
  process.exit(1);
}
