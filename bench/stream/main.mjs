// `stream`: applications of farlight stream on the software GPU, for 50 keys.
//
//   throughput  records a second of an application, and of the same graph called by requests of 50 clients: in turns of so
//               many records each, while both are open. And the time of the CPU that this process takes for each
//   upgrades    at half of the application's rate, 10 upgrades in a row: is anything lost, or there twice, or out of order? And
//               how long is the longest time without an output, beside the same time without upgrades?
import { setFlagsFromString } from 'node:v8';
import { functionHosts, gpuHost } from '../../dist/infer/hosts/engine-hosts.js';
import { figure, printTable } from '../print.mjs';
import { startHost } from '../processes.mjs';
import { median } from '../workloads/report.mjs';
import { openStream } from './application.mjs';
import { GRAPHS } from './graphs.mjs';
import { interval } from './ratio.mjs';
import { openRequests } from './requests.mjs';

const KEYS = 50;
/** How often both have their turn, and how many records a turn has. */
const PAIRS = { silero: 4, single: 12, batches: 12, function: 12 };
const RECORDS = { silero: 100, single: 200, batches: 2000, function: 4000 };
const UPGRADES = 10;
/** A round is so many seconds without upgrades, and so many with them. */
const SECONDS = 12;
const ROUNDS = 3;
/** How long records come before a round is measured. */
const BEFORE_MS = 2000;
/** The upgrades of a round: to the first version and back to the second. */
const CHANGES = [
  { title: 'another threshold', changes: [{ rule: 'high' }, { rule: 'low' }] },
  { title: 'another version of the model', changes: [{ version: 2 }, { version: 1 }] },
];

export const PARTS = [...GRAPHS.map(({ name }) => name), 'upgrades'];

/** Measures some of PARTS. @returns {Promise<object>} the figures */
export async function measureStream(parts, adapter = 'software') {
  // V8 would optimise ONNX Runtime's module on all cores.
  setFlagsFromString('--liftoff-only');
  const host = await startHost(adapter);
  try {
    const hosts = async () => {
      const gpu = await gpuHost({ host: host.url, name: 'host', lanes: 2 });
      return { hosts: [gpu, ...functionHosts()], adapter: gpu.adapter };
    };
    const figures = {};
    for (const graph of GRAPHS)
      if (parts.includes(graph.name)) figures[graph.name] = await measureThroughput(graph, hosts);
    if (Object.keys(figures).length > 0) printThroughput(figures);
    if (parts.includes('upgrades')) {
      figures.upgrades = await measureUpgrades(hosts);
      printUpgrades(figures.upgrades);
    }
    return figures;
  } finally {
    await host.stop();
  }
}

async function measureThroughput(graph, hosts) {
  process.stderr.write(`stream: ${graph.title} ...\n`);
  const stream = await openStream(graph, hosts, { keys: KEYS });
  const requests = await openRequests(graph, hosts, KEYS);
  const sides = { stream, requests };
  const turns = { stream: [], requests: [] };
  try {
    const records = RECORDS[graph.name];
    for (const side of Object.values(sides)) await side.pass(Math.max(KEYS, records / 2));
    for (let pair = 0; pair < PAIRS[graph.name]; pair += 1) {
      // Back and forth, so that neither always follows the other.
      const order = pair % 2 === 0 ? ['stream', 'requests'] : ['requests', 'stream'];
      for (const name of order) turns[name].push(await turn(sides[name], records));
      const [given, asked] = [turns.stream, turns.requests].map((list) => figure(list.at(-1).perSecond));
      process.stderr.write(`  turn ${pair + 1}: ${given} records each second, and ${asked} by requests\n`);
    }
    return {
      title: graph.title,
      records,
      turns,
      stream: summary(turns.stream),
      requests: summary(turns.requests),
      ratio: interval(turns.stream.map(({ perSecond }, at) => perSecond / turns.requests[at].perSecond)),
    };
  } finally {
    await stream.close();
    await requests.close();
  }
}

async function turn(side, records) {
  const start = performance.now();
  const before = process.cpuUsage();
  await side.pass(records);
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - start) / 1000;
  return { perSecond: records / seconds, cpuMs: (user + system) / 1000 / records };
}

function summary(turns) {
  return {
    perSecond: median(turns.map(({ perSecond }) => perSecond)),
    cpuMs: median(turns.map(({ cpuMs }) => cpuMs)),
  };
}

/** In one application, so that all rounds have the same sessions and the same learned costs. */
async function measureUpgrades(hosts) {
  const [graph] = GRAPHS;
  const stream = await openStream(graph, hosts, { keys: KEYS, versions: [1, 2] });
  let isOver = false;
  let every;
  const play = async () => {
    const start = performance.now();
    for (let n = 0; !isOver; n += 1) {
      await sleep(Math.max(0, start + n * every - performance.now()));
      await stream.give();
    }
  };
  try {
    await stream.pass(KEYS);
    // Models are warmed: each version has run on this host before.
    for (const version of [2, 1]) {
      await stream.application.upgrade(await stream.define({ version }));
      await stream.pass(KEYS / 5);
    }
    every = 2000 / (await turn(stream, 2 * KEYS)).perSecond;
    const playing = play();
    await sleep(BEFORE_MS);
    const measured = [];
    for (const { title, changes } of CHANGES) {
      process.stderr.write(`stream: upgrades to ${title} ...\n`);
      const rounds = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const usual = await watch(stream, () => sleep(SECONDS * 1000));
        const tookMs = [];
        const upgraded = await watch(stream, async () => {
          const start = performance.now();
          for (let at = 0; at < UPGRADES; at += 1) {
            const due = start + ((at + 0.5) * SECONDS * 1000) / UPGRADES;
            await sleep(Math.max(0, due - performance.now()));
            const begun = performance.now();
            await stream.application.upgrade(await stream.define(changes[at % 2]));
            tookMs.push(performance.now() - begun);
          }
          await sleep(Math.max(0, start + SECONDS * 1000 - performance.now()));
        });
        rounds.push({ usual, upgraded, tookMs });
      }
      measured.push({ title, rounds });
    }
    isOver = true;
    await playing;
    return { every, measured, ...judged(stream.lines()) };
  } finally {
    isOver = true;
    await stream.close();
  }
}

/** The longest time without an output while something is done, and the outputs each second. */
async function watch({ outputs }, act) {
  const [start, before] = [performance.now(), outputs.count];
  outputs.forget();
  await act();
  return { gapMs: outputs.gapMs, perSecond: ((outputs.count - before) * 1000) / (performance.now() - start) };
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
  return { outputs: lines.length, lost, twice, disordered };
}

function printThroughput(throughput) {
  printTable([
    ['', 'stream/s', 'requests/s', 'ratio', '95% interval', 'CPU ms', 'by requests', 'records'],
    ...Object.values(throughput).map(({ title, stream, requests, ratio, records, turns }) => [
      title,
      figure(stream.perSecond),
      figure(requests.perSecond),
      ratio.mean.toFixed(3),
      `${ratio.from.toFixed(2)} to ${ratio.to.toFixed(2)}`,
      stream.cpuMs.toFixed(2),
      requests.cpuMs.toFixed(2),
      `${turns.stream.length} x ${records}`,
    ]),
  ]);
}

function printUpgrades({ every, measured, outputs, lost, twice, disordered }) {
  console.log(`\nA record each ${every.toFixed(0)} ms; longest time without an output, in ms:`);
  printTable([
    [`${UPGRADES} upgrades to`, 'without', 'with', 'more', 'worst', 'an upgrade takes', 'at most'],
    ...measured.map(({ title, rounds }) => {
      const took = rounds.flatMap(({ tookMs }) => tookMs);
      const more = rounds.map(({ usual, upgraded }) => upgraded.gapMs - usual.gapMs);
      return [
        title,
        figure(median(rounds.map(({ usual }) => usual.gapMs))),
        figure(median(rounds.map(({ upgraded }) => upgraded.gapMs))),
        median(more).toFixed(0),
        Math.max(...more).toFixed(0),
        figure(median(took)),
        figure(Math.max(...took)),
      ];
    }),
  ]);
  console.log(`${outputs} outputs: ${lost} lost, ${twice} twice, ${disordered} out of order`);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
