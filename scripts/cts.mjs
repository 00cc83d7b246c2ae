// Runs queries of the WebGPU conformance test suite on local Dawn and through Farlight, on the embedded
// software GPU both times, and tells where the two differ. docs/conformance.md says how to get the suite.
//
//   node scripts/cts.mjs --cts CHECKOUT [--out FILE] [--timeout SECONDS] [--on local|farlight]
//                        [--host URL] QUERY...
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { softwareGpuFolder } from '../dist/server/software-gpu.js';

const SIDES = ['local', 'farlight'];
/** Of a failure's log: what says why it failed comes first, the stack after it. */
const LOG_LINES = 12;

const { values: options, positionals: queries } = parseArgs({
  allowPositionals: true,
  options: {
    cts: { type: 'string' },
    out: { type: 'string' },
    timeout: { type: 'string', default: '120' },
    on: { type: 'string', multiple: true, default: SIDES },
    host: { type: 'string' },
  },
});
const seconds = Number(options.timeout);
if (
  !options.cts ||
  queries.length === 0 ||
  !(seconds > 0) ||
  options.on.some((side) => !SIDES.includes(side))
) {
  console.error(
    'usage: node scripts/cts.mjs --cts CHECKOUT [--out FILE] [--timeout SECONDS] [--on local|farlight] [--host URL] QUERY...',
  );
  process.exit(2);
}
const checkout = resolve(options.cts);
const runner = join(checkout, 'out-node/common/runtime/cmdline.js');
if (!existsSync(runner)) {
  console.error(`${runner} is not there: build the suite for Node first (npx grunt node, in ${checkout})`);
  process.exit(2);
}

/** What each side adds to the runner's arguments and environment. */
const software = softwareGpuFolder();
const setups = {
  local: {
    flags: provider('cts-local.cjs', ['backend=vulkan']),
    env: {
      VK_ICD_FILENAMES: join(software, 'vk_swiftshader_icd.json'),
      LD_LIBRARY_PATH: [software, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
      XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR || tmpdir(),
    },
  },
  farlight: {
    flags: provider('../dist/client/cts.js', options.host ? [`host=${options.host}`] : ['adapter=software']),
    env: {},
  },
};

function provider(file, flags) {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return ['--gpu-provider', path, ...flags.flatMap((flag) => ['--gpu-provider-flag', flag])];
}

/** The queries of single files that a query stands for: each gets a process of its own. */
async function filesOf(query) {
  const [suite, path, ...test] = query.split(':');
  if (test.length > 0) return path.endsWith('*') ? [] : [query];
  const { listing } = createRequire(import.meta.url)(join(checkout, `out-node/${suite}/listing.js`));
  const prefix = path.replace(/,?\*$/, '');
  return (await listing)
    .filter((entry) => !('readme' in entry))
    .map((entry) => entry.file.join(','))
    .filter((file) => prefix === '' || file === prefix || file.startsWith(`${prefix},`))
    .map((file) => `${suite}:${file}:*`);
}

/** Runs one file. Cases that were not reached have no result. */
function run(side, query) {
  const { flags, env } = setups[side];
  return new Promise((done) => {
    const started = performance.now();
    // The suite reads its resources relative to the folder that it runs in.
    const child = spawn(process.execPath, ['--no-warnings', runner, '--verbose', ...flags, query], {
      cwd: checkout,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const cases = new Map();
    let end = 'crash';
    let last = '';
    let log = [];
    const timer = setTimeout(() => {
      end = 'timeout';
      child.kill('SIGKILL');
    }, seconds * 1000);
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (end === 'complete') return;
      const result = /^\[(\w+)\] (\w+:.*) \((-?[\d.]+)ms\)\. Log:$/.exec(line);
      if (result) {
        log = [];
        const [, status, name, ms] = result;
        // What did not pass is listed a second time at the end.
        if (!cases.has(name)) cases.set(name, { status, ms: Number(ms), log });
      } else if (line === '** Summary **') {
        // Dawn keeps a process alive for as long as its GPU is reachable.
        end = 'complete';
        setTimeout(() => child.kill('SIGKILL'), 1000).unref();
      } else if (log.length < LOG_LINES) {
        log.push(line);
      }
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      last = (last + text).slice(-2000);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const how = end === 'crash' ? { code, signal, stderr: last, log } : {};
      done({ end, ...how, seconds: (performance.now() - started) / 1000, cases });
    });
  });
}

const count = (cases, status) => [...cases.values()].filter((each) => each.status === status).length;

function summarize({ end, cases, seconds, ...how }) {
  const counts = Object.fromEntries(
    ['pass', 'fail', 'warn', 'skip'].map((each) => [each, count(cases, each)]),
  );
  const ms = [...cases.values()].reduce((sum, each) => sum + each.ms, 0);
  return { end, ...how, ...counts, seconds: round(seconds), caseSeconds: round(ms / 1000) };
}

const round = (value) => Math.round(value * 100) / 100;

/** Why a case failed, without the numbers in which two such cases differ. */
function causeOf({ status, log }) {
  const line = log.find((each) => /EXCEPTION|EXPECTATION FAILED|Error:/.test(each)) ?? log[0] ?? '';
  return `${status}: ${line.trim().replace(/\d+/g, 'N').slice(0, 200)}`;
}

const files = [];
const differences = [];
const gains = [];
const todo = [];
for (const query of queries) {
  const found = await filesOf(query);
  if (found.length === 0) console.error(`no file matches ${query}`);
  todo.push(...found);
}

for (const query of new Set(todo)) {
  const outcome = {};
  for (const side of SIDES) if (options.on.includes(side)) outcome[side] = await run(side, query);
  const { local, farlight } = outcome;
  const entry = { query };
  for (const side of SIDES) if (outcome[side]) entry[side] = summarize(outcome[side]);
  if (local && farlight) {
    const missing = { status: farlight.end === 'timeout' ? 'timeout' : 'crash', log: farlight.log ?? [] };
    for (const [name, result] of local.cases) {
      const there = farlight.cases.get(name) ?? missing;
      if (result.status === 'pass' && there.status !== 'pass') {
        differences.push({ case: name, farlight: there.status, cause: causeOf(there), log: there.log });
      } else if (result.status !== 'pass' && there.status === 'pass') {
        gains.push({ case: name, local: result.status, cause: causeOf(result) });
      }
    }
    entry.differences = differences.filter((each) => local.cases.has(each.case)).length;
  }
  files.push(entry);
  const words = SIDES.filter((side) => entry[side]).map((side) => {
    const { pass, fail, warn, skip, end, seconds } = entry[side];
    const more = [
      fail && `${fail} fail`,
      warn && `${warn} warn`,
      skip && `${skip} skip`,
      end !== 'complete' && end,
    ];
    return `${side} ${[`${pass} pass`, ...more.filter(Boolean)].join(', ')} in ${seconds} s`;
  });
  console.log(`${query}\n    ${words.join('; ')}${entry.differences ? `; ${entry.differences} DIFFER` : ''}`);
  write();
}

report();
process.exitCode = differences.length > 0 ? 1 : 0;

function totals() {
  const total = (side) => {
    const sum = (key) => round(files.reduce((all, entry) => all + (entry[side]?.[key] ?? 0), 0));
    return Object.fromEntries(
      ['pass', 'fail', 'warn', 'skip', 'seconds', 'caseSeconds'].map((key) => [key, sum(key)]),
    );
  };
  // A file that was cut short on one side says nothing of how long it takes.
  const timed = files.filter(
    ({ local, farlight }) => local?.end === 'complete' && farlight?.end === 'complete',
  );
  const time = (side) => timed.reduce((all, entry) => all + entry[side].seconds, 0);
  return {
    ...Object.fromEntries(options.on.map((side) => [side, total(side)])),
    differences: differences.length,
    gains: gains.length,
    timeRatio: timed.length > 0 ? round(time('farlight') / time('local')) : undefined,
  };
}

function write() {
  if (!options.out) return;
  const git = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: checkout, encoding: 'utf8' });
  const result = {
    date: new Date().toISOString(),
    cts: git.status === 0 ? git.stdout.trim() : undefined,
    node: process.version,
    timeoutSeconds: seconds,
    queries,
    totals: totals(),
    differences,
    gains,
    files,
  };
  writeFileSync(options.out, `${JSON.stringify(result, undefined, 2)}\n`);
}

function report() {
  const causes = new Map();
  for (const each of differences) causes.set(each.cause, [...(causes.get(each.cause) ?? []), each.case]);
  console.log('\nPass on local Dawn and not through Farlight, by cause:');
  if (causes.size === 0) console.log('    none');
  for (const [cause, cases] of [...causes].sort(([, a], [, b]) => b.length - a.length)) {
    console.log(`${String(cases.length).padStart(6)}  ${cause}\n          e.g. ${cases[0]}`);
  }
  console.log(`\n${JSON.stringify(totals(), undefined, 2)}`);
}
