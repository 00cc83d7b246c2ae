// Runs queries of the WebGPU conformance test suite on local Dawn and through Farlight, both on the embedded software GPU,
// and reports where the results differ. docs/conformance.md says how to get the suite.
//
//   node scripts/cts.mjs --cts CHECKOUT [--out FILE] [--timeout SECONDS] [--on local|farlight]
//                        [--host URL] QUERY...
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { softwareGpuFolder } from '../dist/server/gpu/software-gpu.js';
import { openSuite, provider, readResults, runSuite } from './cts/suite.mjs';

const SIDES = ['local', 'farlight'];

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
const suite = openSuite(options.cts);
const { checkout } = suite;

/** The runner's arguments and environment for each side. */
const software = softwareGpuFolder();
const setups = {
  local: {
    flags: provider('local.cjs', ['backend=vulkan']),
    env: {
      VK_ICD_FILENAMES: join(software, 'vk_swiftshader_icd.json'),
      LD_LIBRARY_PATH: [software, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
      XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR || tmpdir(),
    },
  },
  farlight: {
    flags: provider(
      '../../dist/bundle/client/cts.js',
      options.host ? [`host=${options.host}`] : ['adapter=software'],
    ),
    env: {},
  },
};

/** The files that a query covers, as one query each: each file runs in a process of its own. */
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

/** Runs one file. A case that did not run has no result. */
async function run(side, query) {
  const { flags, env } = setups[side];
  const started = performance.now();
  const ended = await runSuite(suite, ['--verbose', ...flags, query], { env, seconds });
  const took = (performance.now() - started) / 1000;
  const { cases, finished, tail } = readResults(ended.output);
  if (finished) return { end: 'complete', seconds: took, cases };
  if (tail.some((line) => line.endsWith('does not match any cases')))
    return { end: 'empty', seconds: took, cases };
  const { code, signal, timedOut } = ended;
  return { end: timedOut ? 'timeout' : 'crash', code, signal, tail, seconds: took, cases };
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

/** Why a case failed. Numbers are left out, so that similar failures have the same cause. */
function causeOf({ status, log }) {
  const at = log.findIndex((line) => /EXCEPTION|EXPECTATION FAILED/.test(line));
  const lines = log.slice(Math.max(at, 0)).map((line) => line.trim());
  // The name of a subcase comes first, and the error on the line after it.
  const line = /subcase:/.test(lines[0]) ? lines.slice(1).find((each) => each !== '') : lines[0];
  return `${status}: ${(line ?? '').replace(/\d+/g, 'N').slice(0, 200)}`;
}

const files = [];
const differences = [];
const gains = [];
/** How many cases pass on local Dawn and are not reached through Farlight, in files that time out on both sides. */
let notReached = 0;
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
    const missing = { status: farlight.end === 'timeout' ? 'timeout' : 'crash', log: farlight.tail ?? [] };
    for (const [name, result] of local.cases) {
      // If both sides time out, compare only the cases that both reached.
      if (local.end === 'timeout' && farlight.end === 'timeout' && !farlight.cases.has(name)) {
        if (result.status === 'pass') notReached += 1;
        continue;
      }
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
  // The time of a file counts only if it is complete on both sides.
  const timed = files.filter(
    ({ local, farlight }) => local?.end === 'complete' && farlight?.end === 'complete',
  );
  const time = (side) => timed.reduce((all, entry) => all + entry[side].seconds, 0);
  return {
    ...Object.fromEntries(options.on.map((side) => [side, total(side)])),
    differences: differences.length,
    gains: gains.length,
    notReached,
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
