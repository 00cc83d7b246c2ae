// npm run bench: Farlight against local Dawn, in one run, as ratios.
//
//   npm run bench -- [--adapter software,null] [--only calls,round-trip,transfer,movenet] [--json FILE]
//
// Targets: `local` is Dawn in the program's own process; `grpc` a host reached over loopback; `private`
// a private host on this machine; `per-call` the host over loopback with each call sent as a message of
// its own, the next one only when the host has executed it (batch and reuse off).
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
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
};
const TARGETS = ['local', 'grpc', 'private', 'per-call'];
/** Without batches a bulk transfer is what it is with them: it would only be measured twice. */
const SKIPPED = new Set(['transfer per-call']);

const { values: flags } = parseArgs({
  options: {
    adapter: { type: 'string', default: 'software,null' },
    only: { type: 'string', default: Object.keys(WORKLOADS).join(',') },
    json: { type: 'string' },
  },
});
const adapters = flags.adapter.split(',');
const workloads = flags.only.split(',');
for (const name of workloads) {
  if (!WORKLOADS[name]) {
    console.error(`bench: there is no workload '${name}'; there is: ${Object.keys(WORKLOADS).join(', ')}`);
    process.exit(2);
  }
}

const machine = `${os.cpus().length} x ${os.cpus()[0]?.model.trim()}, Node ${process.versions.node}`;
const results = { machine, date: new Date().toISOString().slice(0, 10), adapters: {} };
console.log(machine);

for (const adapter of adapters) {
  const host = await startHost(adapter);
  const measured = {};
  results.adapters[adapter] = { name: host.adapter, measured };
  try {
    for (const workload of workloads) {
      measured[workload] = {};
      for (const target of TARGETS) {
        if (SKIPPED.has(`${workload} ${target}`)) continue;
        process.stderr.write(`${adapter}: ${workload} on ${target} ...\n`);
        measured[workload][target] = await runWorkload(workload, target, adapter, host.url);
      }
    }
  } finally {
    await host.stop();
  }
  print(adapter, host.adapter, measured);
}
if (flags.json) writeFileSync(flags.json, `${JSON.stringify(results, null, 2)}\n`);

async function startHost(adapter) {
  const child = spawn(
    process.execPath,
    // What is measured is to be the same the second time.
    [`${root}dist/cli/main.js`, 'serve', '--listen', '127.0.0.1:0', '--adapter', adapter, '--blobs', 'off'],
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

async function runWorkload(workload, target, adapter, url) {
  const env = { ...process.env, FARLIGHT_ADAPTER: adapter, BENCH_TARGET: target };
  for (const name of ['FARLIGHT_HOST', 'FARLIGHT_BATCH', 'FARLIGHT_REUSE']) delete env[name];
  if (target === 'grpc' || target === 'per-call') env.FARLIGHT_HOST = url;
  if (target === 'per-call') Object.assign(env, { FARLIGHT_BATCH: 'off', FARLIGHT_REUSE: 'off' });
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
  for (const workload of workloads) {
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
  const { perStep } = measured.movenet?.grpc ?? {};
  if (!perStep) return;
  const of = (key) => Math.round(perStep[key]).toLocaleString('en-US');
  console.log(
    `MoveNet, each steady inference: ${of('apiCalls')} API calls, ${of('answeredLocally')} answered locally, ` +
      `${of('messagesSent')} messages, ${of('waits')} waits, ${of('bytesUp')} bytes up, ${of('bytesDown')} down`,
  );
}

function figure(value) {
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
