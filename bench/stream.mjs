// `stream`: an application of farlight stream with Silero, for 50 keys, on the software GPU.
//
//   capacity   records a second, and beside it the same model called by requests of 50 clients in turn
//   upgrades   at half of that rate: 10 upgrades in a row. Is anything lost, or there twice, or out of order? And how long
//              is the longest time without an output, beside a run without upgrades?
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { Engine } from '../dist/infer/engine/engine.js';
import { functionHosts, gpuHost } from '../dist/infer/hosts/engine-hosts.js';
import { LearnedStore } from '../dist/infer/memory/learned-store.js';
import { resolveStream } from '../dist/stream/definition/resolve.js';
import { readStream } from '../dist/stream/definition/stream-file.js';
import { copiesIn, openApplication } from '../dist/stream/site.js';
import { figure, printTable } from './print.mjs';
import { startHost } from './processes.mjs';

const KEYS = 50;
const SECONDS = 20;
const UPGRADES = 10;
/** How often the rate of the application and that of requests are measured, in turns, and for how many seconds. */
const TURNS = 3;
const TURN_SECONDS = 6;
const LOOK_MS = 2;

const FUNCTIONS = `
export const make = ({ n }) => ({
  framed: { shape: [1, 576], data: Float32Array.from({ length: 576 }, (_, at) => Math.sin(at * 0.07 + Number(n.data[0]))) },
});
const decided = (limit) => ({ probability, count }) => ({
  count: { data: Int32Array.of(count.data[0] + 1) },
  event: { data: Float32Array.of(count.data[0], probability.data[0] > limit ? 1 : 0) },
});
export const low = decided(0.2);
export const high = decided(0.7);
`;

function fileText(every, decide) {
  return `
sources:
  sound: { generator: f.mjs#make, values: [framed], keys: ${KEYS}${every ? `, every: ${every}` : ''} }
steps:
  detect:
    model: silero
    inputs: { input: sound.framed }
    constants: { sr: { type: "INT64[]", data: [16000] } }
    state: { state: { type: "FP32[2,1,128]", next: stateN } }
  decide:
    function: f.mjs#${decide}
    inputs: { probability: detect.output }
    state: { count: "INT32[1]" }
sinks:
  out: { file: out.jsonl, values: { event: decide.event } }
`;
}

/** @returns {Promise<object>} the figures */
export async function measureStream(adapter = 'software') {
  const host = await startHost(adapter);
  try {
    const hosts = async () => {
      const gpu = await gpuHost({ host: host.url, name: 'host', lanes: 2 });
      return { hosts: [gpu, ...functionHosts()], adapter: gpu.adapter };
    };
    // In turns: the machine is not the same from one minute to the next.
    const turns = [];
    for (let turn = 0; turn < TURNS; turn += 1)
      turns.push({ capacity: await measureCapacity(hosts), requests: await measureRequests(hosts) });
    const capacity = mean(turns.map((turn) => turn.capacity));
    const requests = mean(turns.map((turn) => turn.requests));
    const every = 2000 / capacity;
    const usual = await measureRun(hosts, every, 0);
    const upgraded = await measureRun(hosts, every, UPGRADES);
    printTable([
      ['', 'records/s', 'longest gap, ms', 'lost', 'twice', 'out of order'],
      ['as fast as possible', figure(capacity), '', '', '', ''],
      ['the model by requests', figure(requests), '', '', '', ''],
      ...[usual, upgraded].map(({ title, perSecond, gapMs, lost, twice, disordered }) => [
        title,
        figure(perSecond),
        figure(gapMs),
        `${lost}`,
        `${twice}`,
        `${disordered}`,
      ]),
    ]);
    return { capacity, requests, turns, usual, upgraded };
  } finally {
    await host.stop();
  }
}

/** An application in a folder of its own, until `act` ends. */
async function withApplication(hosts, every, act) {
  const folder = mkdtempSync(join(os.tmpdir(), 'farlight-bench-stream-'));
  const file = join(folder, 'app.yaml');
  putModel(join(folder, 'models'));
  writeFileSync(join(folder, 'f.mjs'), FUNCTIONS);
  const state = join(folder, 'app.state');
  const define = (decide) => {
    writeFileSync(file, fileText(every, decide));
    const { graph, problems } = readStream(file);
    if (!graph) throw new Error(problems.map(({ message }) => message).join());
    return resolveStream(graph, copiesIn(state));
  };
  const site = await openApplication(
    { folder: state, durable: true, checkpointEvery: 10_000, hosts, log: console.error },
    () => define('low'),
  );
  try {
    const out = join(folder, 'out.jsonl');
    await until(() => sizeOf(out) > 0);
    return await act({ application: site.application, define, out });
  } finally {
    await site.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function measureCapacity(hosts) {
  return withApplication(hosts, undefined, async ({ out }) => {
    await until(() => linesOf(out).length >= KEYS);
    const before = linesOf(out).length;
    await sleep(TURN_SECONDS * 1000);
    return (linesOf(out).length - before) / TURN_SECONDS;
  });
}

/** Each client sends the next request when it has the answer, with the state that it got. */
async function measureRequests(hosts) {
  const folder = mkdtempSync(join(os.tmpdir(), 'farlight-bench-stream-'));
  putModel(folder);
  const { hosts: open, adapter } = await hosts();
  // The engine begins with the costs that the applications' engines have learned, so neither side learns while it is measured.
  const engine = new Engine({ folder, hosts: open, store: new LearnedStore(adapter) });
  try {
    await engine.loaded;
    let isOver = false;
    let answers = 0;
    const client = async () => {
      let state = new Uint8Array(2 * 128 * 4);
      while (!isOver) {
        const { outputs } = await engine.infer({
          model: 'silero',
          inputs: [
            { name: 'input', datatype: 'FP32', shape: [1, 576], data: new Uint8Array(576 * 4) },
            { name: 'state', datatype: 'FP32', shape: [2, 1, 128], data: state },
            {
              name: 'sr',
              datatype: 'INT64',
              shape: [],
              data: new Uint8Array(BigInt64Array.of(16_000n).buffer),
            },
          ],
        });
        answers += 1;
        state = outputs.find(({ name }) => name === 'stateN').data;
      }
    };
    const clients = Array.from({ length: KEYS }, client);
    // The model is compiled with the first runs.
    await until(() => answers >= KEYS);
    const before = answers;
    await sleep(TURN_SECONDS * 1000);
    const perSecond = (answers - before) / TURN_SECONDS;
    isOver = true;
    await Promise.all(clients);
    return perSecond;
  } finally {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function measureRun(hosts, every, upgrades) {
  return withApplication(hosts, every, async ({ application, define, out }) => {
    await sleep(3000);
    const before = linesOf(out).length;
    let gapMs = 0;
    let latest = performance.now();
    let size = sizeOf(out);
    const watch = setInterval(() => {
      const now = performance.now();
      const is = sizeOf(out);
      if (is === size) return;
      gapMs = Math.max(gapMs, now - latest);
      size = is;
      latest = now;
    }, LOOK_MS);
    const start = performance.now();
    for (let at = 0; at < upgrades; at += 1) {
      await sleep((SECONDS * 1000) / upgrades - 500);
      await application.upgrade(await define(at % 2 === 0 ? 'high' : 'low'));
    }
    await sleep(Math.max(0, SECONDS * 1000 - (performance.now() - start)));
    clearInterval(watch);
    const perSecond = (linesOf(out).length - before) / ((performance.now() - start) / 1000);
    const title = upgrades > 0 ? `at half of it, ${upgrades} upgrades` : 'at half of it';
    return { title, perSecond, gapMs, ...judged(linesOf(out)) };
  });
}

/** The count that each output has by its key shows whether one is missing, or there twice. */
function judged(lines) {
  const latest = new Map();
  const offsets = new Set();
  let [lost, twice, disordered] = [0, 0, 0];
  for (const { key, offset, values } of lines) {
    if (offsets.has(offset)) twice += 1;
    offsets.add(offset);
    const [count] = values.event;
    const next = (latest.get(key) ?? -1) + 1;
    if (count > next) lost += count - next;
    else if (count < next) disordered += 1;
    latest.set(key, count);
  }
  return { lost, twice, disordered };
}

function putModel(folder) {
  const package_ = import.meta.resolve('@ricky0123/vad-web/package.json');
  mkdirSync(join(folder, 'silero/1'), { recursive: true });
  copyFileSync(new URL('./dist/silero_vad_v5.onnx', package_), join(folder, 'silero/1/model.onnx'));
}

function linesOf(file) {
  return readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function sizeOf(file) {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

async function until(holds) {
  while (!holds()) await sleep(20);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
