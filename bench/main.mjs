// npm run bench: Farlight against local Dawn, in one run, as ratios.
//
//   npm run bench -- [--adapter software,null] [--only calls,round-trip,transfer,movenet,silero,reuse] [--json FILE]
//
// Targets:
//   local     Dawn in the program's own process
//   host      a host over loopback
//   private   a private host on this machine
//   per-call  a host over loopback; each call is a message of its own, and waits for the one before (grouping and reuse off)
//
// `reuse` (reuse.mjs) measures something else. So do `ahead` (ahead.mjs) and `network` (network/main.mjs), which run only
// if they are asked for.
//
//   npm run bench -- --only network [--network steps,per-call,ping,bulk,fairness,memory] [--rtt 1,10,30,100] [--mbit 100]
//
//   npm run bench -- --only schedule
//   npm run bench -- --only infer [--infer 1,2,3,4]
//   npm run bench -- --only protocol
//   npm run bench -- --only stream [--stream silero,single,batches,function,upgrades]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { measureAhead, printAhead } from './ahead.mjs';
import { measureSchedule } from './infer/main.mjs';
import { measureProtocol } from './infer/protocol.mjs';
import { measureServer } from './infer/server.mjs';
import { measureNetwork, SCENARIOS } from './network/main.mjs';
import { figure, printTable } from './print.mjs';
import { runWorkload, startHost } from './processes.mjs';
import { measureReuse, printReuse } from './reuse.mjs';
import { measureStream, PARTS } from './stream/main.mjs';
import { beginModel, takeTurns } from './turns.mjs';
import { median } from './workloads/report.mjs';

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
/** Models. The targets take turns, and later processes of each target are measured too. */
const MODELS = ['movenet', 'silero'];
const TURNS = { rounds: 8, turnMs: 300 };
const TARGETS = ['local', 'host', 'private', 'per-call'];
/** `per-call` does not change a bulk transfer: it would only be measured twice. */
const SKIPPED = new Set(['transfer per-call']);
/** ONNX Runtime checks some of its numbers, so it needs a GPU that computes. */
const COMPUTING = new Set(['silero']);

const { values: flags } = parseArgs({
  options: {
    adapter: { type: 'string', default: 'software,null' },
    only: { type: 'string', default: [...Object.keys(WORKLOADS), 'reuse'].join(',') },
    network: { type: 'string', default: SCENARIOS.join(',') },
    rtt: { type: 'string', default: '1,10,30,100' },
    mbit: { type: 'string', default: '100' },
    infer: { type: 'string', default: '1,2,3,4' },
    stream: { type: 'string', default: PARTS.join(',') },
    json: { type: 'string' },
  },
});
const adapters = flags.adapter.split(',');
const wanted = flags.only.split(',');
expectKnown('workload', wanted, [
  ...Object.keys(WORKLOADS),
  'reuse',
  'ahead',
  'network',
  'schedule',
  'infer',
  'protocol',
  'stream',
]);
expectKnown('place of the inference server', flags.infer.split(','), ['1', '2', '3', '4']);
expectKnown('part of streams', flags.stream.split(','), PARTS);
const scenarios = flags.network.split(',');
expectKnown('scenario of the network', scenarios, SCENARIOS);
const rtts = flags.rtt.split(',').map(Number);
const workloads = wanted.filter((name) => WORKLOADS[name]);

const machine = `${os.cpus().length} x ${os.cpus()[0]?.model.trim()}, Node ${process.versions.node}`;
const results = { machine, date: new Date().toISOString().slice(0, 10), adapters: {} };
console.log(machine);

for (const adapter of workloads.length > 0 ? adapters : []) {
  const contents = mkdtempSync(`${os.tmpdir()}/farlight-bench-`);
  const host = await startHost(adapter, ['--contents', contents]);
  const measured = {};
  results.adapters[adapter] = { name: host.adapter, measured };
  try {
    for (const workload of workloads) {
      if (adapter === 'null' && COMPUTING.has(workload)) continue;
      const targets = TARGETS.filter((target) => !SKIPPED.has(`${workload} ${target}`));
      const begin = MODELS.includes(workload) ? beginModel : runWorkload;
      const begun = [];
      for (const target of targets) {
        process.stderr.write(`${adapter}: ${workload} on ${target} ...\n`);
        begun.push(await begin(workload, target, adapter, host.url));
      }
      const results = begin === beginModel ? await measureSteady(begun) : begun;
      measured[workload] = Object.fromEntries(results.map((result, at) => [targets[at], result]));
    }
  } finally {
    await host.stop();
    rmSync(contents, { recursive: true, force: true });
  }
  print(adapter, host.adapter, measured);
}
for (const adapter of wanted.includes('reuse') ? adapters : []) {
  // The null adapter computes nothing, and so compiles nothing.
  const programs = adapter === 'null' ? ['movenet'] : MODELS;
  results.reuse ??= {};
  results.reuse[adapter] = {};
  for (const program of programs) {
    results.reuse[adapter][program] = await measureReuse(program, adapter);
    printReuse(program, adapter, results.reuse[adapter][program]);
  }
}
if (wanted.includes('ahead')) {
  results.ahead = await measureAhead();
  printAhead(results.ahead);
}
if (wanted.includes('network'))
  results.network = await measureNetwork(scenarios, { rtts, mbit: Number(flags.mbit) });
if (wanted.includes('schedule')) results.schedule = measureSchedule();
if (wanted.includes('infer')) results.infer = await measureServer(flags.infer.split(',').map(Number));
if (wanted.includes('protocol')) results.protocol = await measureProtocol();
if (wanted.includes('stream')) results.stream = await measureStream(flags.stream.split(','));
if (flags.json) writeFileSync(flags.json, `${JSON.stringify(results, null, 2)}\n`);

/**
 * Ends models that were started. Resolves to their measurements of the first inference and of steady ones.
 */
async function measureSteady(models) {
  try {
    const turns = await takeTurns(models, TURNS);
    return turns.map(({ model, stepsMs, perStep }) => ({ ...model.first, stepMs: median(stepsMs), perStep }));
  } finally {
    for (const model of models) await model.stop();
  }
}

function print(adapter, name, measured) {
  console.log(`\nAdapter ${adapter}${name === adapter ? '' : ` (${name})`}`);
  const header = ['', 'local', 'host', 'x local', 'private', 'x local', 'per-call', 'x local'];
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
  printTable(rows);
  for (const workload of Object.keys(measured)) {
    const { perStep, inputBytes } = measured[workload].host;
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

function expectKnown(what, names, known) {
  for (const name of names) {
    if (known.includes(name)) continue;
    console.error(`bench: there is no ${what} '${name}'; choose among: ${known.join(', ')}`);
    process.exit(2);
  }
}
