// npm run bench: Farlight against local Dawn, in one run, as ratios.
//
//   npm run bench -- [--adapter software,null] [--only calls,round-trip,transfer,movenet,silero,reuse] [--json FILE]
//
// Targets: `local` is Dawn in the program's own process; `grpc` a host reached over loopback; `private`
// a private host on this machine; `per-call` the host over loopback with each call sent as a message of
// its own, the next one only when the host has executed it (batch and reuse off).
//
// `reuse` is another thing: how long a program takes from its session's start to its first result, and what it
// sends until then, on a host that knows nothing, for a second process of the same program, and after the host
// was restarted.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const register = pathToFileURL(`${root}dist/client/register.js`).href;
const local = pathToFileURL(`${root}bench/local.mjs`).href;

const WORKLOADS = {
  calls: [
    { field: 'encodeUs', title: "compute pass of 7 calls, on the program's thread", unit: 'us' },
    { field: 'doneUs', title: 'compute pass of 7 calls, until done', unit: 'us' },
  ],
  'round-trip': [{ field: 'roundTripUs', title: 'write 4 bytes, copy, map, read', unit: 'us' }],
  transfer: [
    { field: 'uploadMiBs', title: '64 MiB up', unit: 'MiB/s', more: true },
    { field: 'downloadMiBs', title: '64 MiB down', unit: 'MiB/s', more: true },
  ],
  movenet: [
    { field: 'firstMs', title: 'MoveNet, first inference', unit: 'ms' },
    { field: 'stepMs', title: 'MoveNet, steady inference', unit: 'ms' },
  ],
  silero: [
    { field: 'firstMs', title: 'Silero, first inference', unit: 'ms' },
    { field: 'stepMs', title: 'Silero, steady inference', unit: 'ms' },
  ],
};
/** Programs whose later runs are measured too. */
const REPEATED = ['movenet', 'silero'];
const TARGETS = ['local', 'grpc', 'private', 'per-call'];
/** Without batches a bulk transfer is what it is with them: it would only be measured twice. */
const SKIPPED = new Set(['transfer per-call']);
/** ONNX Runtime checks its numbers where it can, so it takes a GPU that computes. */
const COMPUTING = new Set(['silero']);

const { values: flags } = parseArgs({
  options: {
    adapter: { type: 'string', default: 'software,null' },
    only: { type: 'string', default: [...Object.keys(WORKLOADS), 'reuse'].join(',') },
    json: { type: 'string' },
  },
});
const adapters = flags.adapter.split(',');
const wanted = flags.only.split(',');
for (const name of wanted) {
  if (!WORKLOADS[name] && name !== 'reuse') {
    console.error(
      `bench: there is no workload '${name}'; there is: ${Object.keys(WORKLOADS).join(', ')}, reuse`,
    );
    process.exit(2);
  }
}
const workloads = wanted.filter((name) => name !== 'reuse');

const machine = `${os.cpus().length} x ${os.cpus()[0]?.model.trim()}, Node ${process.versions.node}`;
const results = { machine, date: new Date().toISOString().slice(0, 10), adapters: {} };
console.log(machine);

for (const adapter of workloads.length > 0 ? adapters : []) {
  const blobs = mkdtempSync(`${os.tmpdir()}/farlight-bench-`);
  const host = await startHost(adapter, ['--blobs', blobs]);
  const measured = {};
  results.adapters[adapter] = { name: host.adapter, measured };
  try {
    for (const workload of workloads) {
      if (adapter === 'null' && COMPUTING.has(workload)) continue;
      measured[workload] = {};
      for (const target of TARGETS) {
        if (SKIPPED.has(`${workload} ${target}`)) continue;
        process.stderr.write(`${adapter}: ${workload} on ${target} ...\n`);
        measured[workload][target] = await runWorkload(workload, target, adapter, host.url);
      }
    }
  } finally {
    await host.stop();
    rmSync(blobs, { recursive: true, force: true });
  }
  print(adapter, host.adapter, measured);
}
for (const adapter of wanted.includes('reuse') ? adapters : []) {
  // Nothing is computed on it, and so nothing is compiled.
  const programs = adapter === 'null' ? ['movenet'] : REPEATED;
  results.reuse ??= {};
  results.reuse[adapter] = {};
  for (const program of programs) {
    results.reuse[adapter][program] = await measureReuse(program, adapter);
    printReuse(program, adapter, results.reuse[adapter][program]);
  }
}
if (flags.json) writeFileSync(flags.json, `${JSON.stringify(results, null, 2)}\n`);

/** Runs a program on a new host, again, and again on a host that has only the folder of the first. */
async function measureReuse(program, adapter) {
  const folder = mkdtempSync(`${os.tmpdir()}/farlight-bench-`);
  try {
    const run = async (title, host, env) => {
      process.stderr.write(`${adapter}: ${program}, ${title} ...\n`);
      return runWorkload(program, 'grpc', adapter, host.url, { BENCH_RUNS: '0', ...env });
    };
    const first = await startHost(adapter, ['--blobs', folder]);
    const cold = await run('first process', first);
    const second = await run('second process', first);
    const without = await run('without reuse', first, { FARLIGHT_REUSE: 'off' });
    await first.stop();
    const restarted = await startHost(adapter, ['--blobs', folder]);
    const after = await run('after a restart', restarted);
    await restarted.stop();
    return { cold, second, after, without };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function printReuse(program, adapter, { cold, second, after, without }) {
  const beyond = ({ first, inputBytes }) => first.bytesUp - inputBytes;
  console.log(
    `\n${program} on ${adapter}: session start to first result; bytes up until then, beyond the input`,
  );
  for (const [title, result] of [
    ['first process', cold],
    ['second process', second],
    ['host restarted', after],
    ['reuse off, host warm', without],
  ]) {
    const ratio = (result.startMs / cold.startMs).toFixed(3);
    const bytes = beyond(result).toLocaleString('en-US');
    const share = (beyond(result) / beyond(cold)).toFixed(4);
    console.log(
      `  ${title.padEnd(22)}${figure(result.startMs).padStart(10)} ms${ratio.padStart(8)}` +
        `${figure(result.firstMs).padStart(10)} ms` +
        `${bytes.padStart(14)} B${share.padStart(8)}`,
    );
  }
}

/** Without more it keeps no uploads: what is measured is to be the same the second time. */
async function startHost(adapter, more = ['--blobs', 'off']) {
  const child = spawn(
    process.execPath,
    [`${root}dist/cli/main.js`, 'serve', '--listen', '127.0.0.1:0', '--adapter', adapter, ...more],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.on('line', (line) => {
      const match = /^farlight host ready: (\S+)/.exec(line);
      if (match) resolve(match[1]);
    });
    ended.then((code) => reject(new Error(`farlight serve ended with ${code}`)));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  return { url, adapter, stop };
}

async function runWorkload(workload, target, adapter, url, more = {}) {
  const env = { ...process.env, FARLIGHT_ADAPTER: adapter, BENCH_TARGET: target };
  for (const name of ['FARLIGHT_HOST', 'FARLIGHT_BATCH', 'FARLIGHT_REUSE']) delete env[name];
  if (target === 'grpc' || target === 'per-call') env.FARLIGHT_HOST = url;
  if (target === 'per-call') Object.assign(env, { FARLIGHT_BATCH: 'off', FARLIGHT_REUSE: 'off' });
  Object.assign(env, more);
  const script = `${root}bench/workloads/${workload}.mjs`;
  const child = spawn(process.execPath, ['--import', target === 'local' ? local : register, script], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  const line = output.split('\n').findLast((text) => text.startsWith('{'));
  if (code !== 0 || !line) throw new Error(`${workload} on ${target} ended with ${code}: ${output}`);
  return JSON.parse(line);
}

function print(adapter, name, measured) {
  console.log(`\nAdapter ${adapter}${name === adapter ? '' : ` (${name})`}`);
  const header = ['', 'local', 'grpc', 'x local', 'private', 'x local', 'per-call', 'x local'];
  const rows = [header];
  for (const workload of Object.keys(measured)) {
    for (const { field, title, unit, more } of WORKLOADS[workload]) {
      const base = measured[workload].local[field];
      const row = [`${title} (${unit})`, figure(base)];
      for (const target of TARGETS.slice(1)) {
        const value = measured[workload][target]?.[field];
        row.push(
          value === undefined ? '-' : figure(value),
          value === undefined ? '-' : `${(value / base).toFixed(2)}`,
        );
      }
      rows.push(row);
      if (more) row[0] += ', more is better';
    }
  }
  const widths = header.map((_cell, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join('  '),
    );
  }
  for (const workload of Object.keys(measured)) {
    const { perStep, inputBytes } = measured[workload].grpc;
    if (!perStep) continue;
    const of = (key) => Math.round(perStep[key]).toLocaleString('en-US');
    console.log(
      `${workload}, each steady inference: ${of('apiCalls')} API calls, ${of('answeredLocally')} answered locally, ` +
        `${of('commandsSent')} commands, ${of('sentAsNames')} of them as names, ${of('messagesSent')} messages, ` +
        `${of('waits')} waits, ${inputBytes.toLocaleString('en-US')} bytes of input and ` +
        `${Math.round(perStep.bytesUp - inputBytes).toLocaleString('en-US')} beyond it up, ${of('bytesDown')} down`,
    );
  }
}

function figure(value) {
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
