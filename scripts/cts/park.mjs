// Runs a sample of the WebGPU conformance test suite twice through Farlight, and reports each case with another result: once on
// a host, and once on that and another one, which park the session, and move it to and fro, at random moments between awaits.
// docs/parking.md tells more.
//
//   node scripts/cts/park.mjs --cts CHECKOUT [--cases COUNT] [--seed TEXT] [--timeout SECONDS]
//                              [--adapter NAME] [--out FILE] [QUERY...]
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Daemon } from '../../dist/server/daemon.js';
import { openSuite, provider, readResults, runSuite, scratch } from './suite.mjs';

/** Cases that make buffers of 128 GiB, and so take all memory of a machine that shares it with its GPU. */
const LEFT_OUT = 'webgpu:api,operation,buffers,map_oom:';
/** How many cases run in one process, and so in one session. */
const GROUP = 60;
/** How many times as long as without parking a case may take. */
const PATIENCE = 10;
/** How long a session that is at work may take to be at rest, in milliseconds. Its program waits for nothing else. */
const REST_MS = 2000;

const HOUR_MS = 3_600_000;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cts: { type: 'string' },
    cases: { type: 'string', default: '3000' },
    seed: { type: 'string', default: '1' },
    timeout: { type: 'string', default: '30' },
    adapter: { type: 'string', default: 'software' },
    out: { type: 'string' },
  },
});
const most = Number(options.cases);
const seconds = Number(options.timeout);
if (!options.cts || !(most > 0) || !(seconds > 0)) {
  console.error(
    'usage: node scripts/cts/park.mjs --cts CHECKOUT [--cases COUNT] [--seed TEXT] [--timeout SECONDS] [--adapter NAME] [--out FILE] [QUERY...]',
  );
  process.exit(2);
}
const queries = positionals.length > 0 ? positionals : ['webgpu:api,operation,*', 'webgpu:api,validation,*'];
const suite = openSuite(options.cts);
const { adapter, seed } = options;

/** What happened to sessions, by what was asked for. */
const asked = { park: 0, move: 0 };
const done = { park: 0, move: 0 };
const returns = [];
/** How often a session stayed where it was, by reason. */
const stayed = new Map();
/** Why devices were lost, by the case that ran then. */
const losses = new Map();
/** Where the session is. There is one at a time. */
const place = { host: 0, id: '' };

const ports = [await freePort(), await freePort()];
const hosts = [await start(0), await start(1)];
const summary = { date: new Date().toISOString(), node: process.version, queries, adapter, seed };
try {
  await compare(sample(await listCases()));
} finally {
  await Promise.all(hosts.map((host) => host.close()));
}

async function compare(chosen) {
  const differences = [];
  const slow = [];
  let compared = 0;
  for (let at = 0; at < chosen.length; at += GROUP) {
    const group = chosen.slice(at, at + GROUP);
    const first = [`host=${hosts[0].url}`];
    const expected = await run(group, first, { isParked: false, limit: seconds });
    const inTime = group.filter((name) => expected.get(name).status !== 'timeout');
    slow.push(...group.filter((name) => !inTime.includes(name)));
    place.host = 0;
    const found = await run(inTime, first, { isParked: true, limit: seconds * PATIENCE });
    for (const name of inTime) {
      compared += 1;
      const [plain, parked] = [expected.get(name), found.get(name)];
      if (plain.status === parked.status) continue;
      const log = parked.log.filter((line, at) => !saysNothing(line, parked.log[at + 1]));
      const lost = losses.get(name) ?? [];
      differences.push({ case: name, plain: plain.status, parked: parked.status, lost, log });
      const lines = [...lost.map((why) => `device lost: ${why}`), ...log];
      console.log(`DIFFERS: ${name}: ${plain.status}, ${parked.status} when parked\n${lines.join('\n')}`);
    }
    const count = (value, what) => `${value} ${what}`;
    console.log(
      [
        `${at + group.length} of ${chosen.length} cases`,
        count(differences.length, 'differ'),
        count(slow.length, 'left out'),
        count(done.park, 'parked'),
        count(done.move, 'moved'),
        `to return ${middle(returns)} ms`,
      ].join(', '),
    );
    report({ compared, differences, slow });
  }
  for (const [why, times] of [...stayed].sort(([, a], [, b]) => b - a))
    console.log(`${times} times the session stayed: ${why}`);
  if (differences.length > 0) process.exitCode = 1;
}

/** Whether a line of a log is of a subcase that has passed. */
function saysNothing(line, next = '') {
  return line.trim() === 'OK' || (line.includes('subcase:') && next.trim() === 'OK');
}

function report(results) {
  if (!options.out) return;
  const all = { ...summary, ...results, asked, done, msToReturn: middle(returns), stayed: [...stayed] };
  writeFileSync(options.out, `${JSON.stringify(all, undefined, 2)}\n`);
}

/** The names of all cases. */
async function listCases() {
  const all = [];
  for (const query of queries) {
    const { output } = await runSuite(
      suite,
      ['--list', ...provider('../../dist/bundle/client/cts.js'), query],
      {
        seconds: 600,
      },
    );
    const names = output
      .split('\n')
      .filter((line) => line.startsWith('webgpu:') && !line.startsWith(LEFT_OUT));
    if (names.length === 0) console.error(`${query} lists no cases:\n${output}`);
    all.push(...names);
  }
  return all;
}

/** As many cases as are wanted, about equally many of each file, in an order that the seed decides within a file. */
function sample(all) {
  const rank = (name) => createHash('sha256').update(`${seed} ${name}`).digest('hex');
  const files = new Map();
  for (const name of all) {
    const [, file] = name.split(':');
    if (!files.has(file)) files.set(file, []);
    files.get(file).push(name);
  }
  const rows = [...files.values()].map((names) =>
    names.map((name) => [rank(name), name]).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const chosen = new Set();
  for (let round = 0; chosen.size < Math.min(most, all.length); round += 1)
    for (const row of rows) if (row[round] && chosen.size < most) chosen.add(row[round][1]);
  return all.filter((name) => chosen.has(name));
}

/** Runs cases, each to its end, or as long as it may take. Where one ends the process, the next ones have another. */
async function run(cases, flags, { isParked, limit }) {
  const results = new Map();
  for (let left = cases; left.length > 0; left = left.filter((name) => !results.has(name))) {
    const plan = scratch('plan.json');
    writeFileSync(plan, JSON.stringify({ cases: left, isParked, seed }));
    let running = '';
    const ended = await runSuite(suite, ['--verbose', ...provider('parked.cjs', flags), 'webgpu:*'], {
      env: { FARLIGHT_CTS_PLAN: plan },
      // Before the suite takes its timers.
      preload: ['--expose-gc', '--require', fileURLToPath(new URL('parked.cjs', import.meta.url))],
      seconds: limit,
      onMessage: ({ ask, begins, lost }, answer) => {
        running = begins ?? running;
        if (lost !== undefined) losses.set(running, [...(losses.get(running) ?? []), lost]);
        if (ask) void act(ask).then(answer);
      },
    });
    const { cases: finished, tail } = readResults(ended.output, Number.POSITIVE_INFINITY);
    for (const [name, result] of finished) results.set(name, result);
    // The case at which the process ended.
    const cut = left.find((name) => !results.has(name));
    if (cut !== undefined) results.set(cut, { status: ended.timedOut ? 'timeout' : 'crash', log: tail });
  }
  return results;
}

/** Parks or moves the session, or notes why it stays. */
async function act(what) {
  asked[what] += 1;
  const host = hosts[place.host];
  const attempt = (withinMs) =>
    what === 'park' ? host.parkOne(place.id, withinMs) : host.moveOne(place.id, undefined, withinMs);
  try {
    await attempt(0).catch((error) => {
      if (error.message !== 'it is at work') throw error;
      return attempt(REST_MS);
    });
    done[what] += 1;
  } catch (error) {
    const why = error.message.replace(/'[^']*'/g, "'...'").replace(/\d+/g, 'N');
    stayed.set(why, (stayed.get(why) ?? 0) + 1);
  }
  return 'go on';
}

/** A host that parks sessions when it is told to, and moves them to the other one. */
function start(at) {
  const note = (fields, message) => {
    if (message === 'session opened' || message === 'session arrived')
      Object.assign(place, { host: at, id: fields.session });
    if (message === 'session back') returns.push(fields.ms);
  };
  return Daemon.start({
    listen: `127.0.0.1:${ports[at]}`,
    adapter,
    warm: 0,
    // A case is to end by what it does alone.
    busyMs: HOUR_MS,
    resumeMs: HOUR_MS,
    gpuMs: 0,
    executorBytes: 0,
    executorsBytes: 0,
    log: { debug() {}, info: note, warn: note, error: note },
    parking: { root: scratch(`parked-${at}`), idleMs: 0 },
    moveTo: [`grpc://127.0.0.1:${ports[1 - at]}`],
    moveFrom: 'default',
  });
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function middle(values) {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0);
}
