import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { Engine } from '#farlight/infer/engine/engine.js';
import type { EngineHost } from '#farlight/infer/engine/hosts.js';
import { gpuHost } from '#farlight/infer/hosts/engine-hosts.js';
import { InferenceServer } from '#farlight/infer/inference-server.js';
import { type Running, startFarlight } from '../../support/hosts/farlight-command.js';
import { until } from '../../support/machine/processes.js';
import { seeded } from '../../support/random/seeded.js';
import { onnxBytes, simple } from '../lanes/models.js';
import '../../support/programs/liftoff.js';

/** How often each fault comes. `npm run infer-faults` has the long form. */
const KILLS = Number(process.env.FARLIGHT_INFER_KILLS ?? 3);
const RESTARTS = Number(process.env.FARLIGHT_INFER_RESTARTS ?? 1);
const CANCELLED = Number(process.env.FARLIGHT_INFER_CANCELLED ?? 300);

const LANES = 2;
/** How many clients ask at once, each one request after the other. */
const CLIENTS = 8;
const MEMORY = 256 << 20;
/** A lane that has run a model keeps so many bytes at most, beside the model. */
const KEPT_BYTES = 64;
const random = seeded(1);

/** A host in its own process, which is always at the same address. */
class OwnHost {
  #address = '127.0.0.1:0';
  #running: Running | undefined;
  dashboard = '';

  async start(): Promise<string> {
    const capacity = ['--adapter', 'software', '--gpu-capacity', `${MEMORY}`, '--contents', 'off'];
    const running = startFarlight([
      'serve',
      '--listen',
      this.#address,
      '--dashboard',
      '127.0.0.1:0',
      ...capacity,
    ]);
    this.#running = running;
    const { printed, child } = running;
    await until(() => printed.stdout.includes('dashboard: ') || child.exitCode !== null);
    const [, url = '', address = ''] = /ready: (grpc:\/\/(\S+))/.exec(printed.stdout) ?? [];
    this.dashboard = /dashboard: (http\S+)/.exec(printed.stdout)?.[1] ?? '';
    if (!this.dashboard) throw new Error(`the host did not start: ${printed.stdout} ${printed.stderr}`);
    this.#address = address;
    return url;
  }

  async kill(): Promise<void> {
    this.#running?.child.kill('SIGKILL');
    await this.#running?.done;
  }

  /** How many sessions it has, and the bytes of these. */
  async state(): Promise<{ sessions: number; bytes: number }> {
    const answer = await fetch(`${this.dashboard}/host.json`);
    const { sessions, totals } = (await answer.json()) as {
      sessions: unknown[];
      totals: { gpuBytes: number };
    };
    return { sessions: sessions.length, bytes: totals.gpuBytes };
  }
}

let folder: string;
let hosts: OwnHost[];
let engine: Engine;
let server: InferenceServer;
let agent: Agent;
/** The threads of all lanes, also of those that are being opened. */
const workers = new Set<Worker>();
/** The lanes that have been told to open, and have no thread yet. */
const starting: ((worker: Worker) => void)[] = [];
const sawWorker = (worker: Worker): void => {
  workers.add(worker);
  worker.once('exit', () => workers.delete(worker));
  starting.shift()?.(worker);
};
/** The threads of the lanes that are open. */
const open = new Set<Worker>();

async function engineHost(name: string, host: string): Promise<EngineHost> {
  const given = await gpuHost({ name, host, lanes: LANES });
  return {
    ...given,
    openLane: async (lane) => {
      const started = new Promise<Worker>((resolve) => starting.push(resolve));
      const opened = await given.openLane(lane);
      const worker = await started;
      open.add(worker);
      void opened.lost.then(() => open.delete(worker));
      return opened;
    },
  };
}

beforeAll(async () => {
  process.on('worker', sawWorker);
  folder = mkdtempSync(join(tmpdir(), 'farlight-faults-'));
  mkdirSync(join(folder, 'simple/1'), { recursive: true });
  writeFileSync(join(folder, 'simple/1/model.onnx'), onnxBytes(simple()));
  hosts = [new OwnHost(), new OwnHost()];
  const urls = await Promise.all(hosts.map((host) => host.start()));
  engine = new Engine({
    folder,
    hosts: await Promise.all(urls.map((url, index) => engineHost(`host ${index}`, url))),
  });
  const trust = inferenceTrust({ http: '127.0.0.1:0', grpc: undefined }, () => {});
  server = new InferenceServer({
    service: engine,
    trust,
    name: 'test',
    version: '0',
    onError: console.error,
  });
  await server.listen();
  agent = new Agent({ keepAlive: true, maxSockets: 256 });
  await engine.loaded;
  await allOpen();
}, 120_000);
afterAll(async () => {
  process.off('worker', sawWorker);
  agent.destroy();
  await server.close(0);
  await engine.close();
  for (const host of hosts) await host.kill();
  rmSync(folder, { recursive: true });
}, 60_000);

const allOpen = () => until(() => open.size === LANES * hosts.length);

interface Answer {
  /** 0: no answer, since the client went away. */
  readonly status: number;
  readonly body: { readonly error?: string; readonly outputs?: readonly { readonly data: number[] }[] };
}

/** Asks for a sum, and perhaps goes away after some milliseconds. */
function ask(number: number, leaveAfter?: number): Promise<Answer> {
  const tensor = (name: string, value: number) => ({
    name,
    datatype: 'INT32',
    shape: [1, 16],
    data: Array(16).fill(value),
  });
  const bytes = Buffer.from(JSON.stringify({ inputs: [tensor('INPUT0', number), tensor('INPUT1', 1)] }));
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': bytes.length };
    const asked = request(`${server.httpUrl}/v2/models/simple/infer`, { method: 'POST', agent, headers });
    let answers = 0;
    asked.on('response', (response) => {
      answers += 1;
      if (answers > 1) reject(new Error('a request was answered twice'));
      const parts: Buffer[] = [];
      response.on('data', (part) => parts.push(part));
      response.once('error', () => resolve({ status: 0, body: {} }));
      response.once('end', () => {
        resolve({ status: response.statusCode as number, body: JSON.parse(Buffer.concat(parts).toString()) });
      });
    });
    asked.once('error', (error) => {
      if (leaveAfter === undefined) reject(error);
      else resolve({ status: 0, body: {} });
    });
    asked.end(bytes);
    if (leaveAfter !== undefined) void setTimeout(leaveAfter).then(() => asked.destroy());
  });
}

/** Clients ask while `act` does something to the server. Resolves to all answers, by what was asked. */
async function underLoad(act: () => Promise<void>): Promise<Map<number, Answer>> {
  const answers = new Map<number, Answer>();
  let next = 0;
  let isOver = false;
  const client = async (): Promise<void> => {
    while (!isOver) {
      const number = next++;
      const answer = await ask(number);
      answers.set(number, answer);
      // As it is told to.
      if (answer.status === 503) await setTimeout(100);
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  try {
    await act();
  } finally {
    isOver = true;
    await Promise.all(clients);
  }
  expect(answers.size).toBe(next);
  return answers;
}

/** Each answer is right, or says why there is none. Returns how many are right. */
function checked(answers: ReadonlyMap<number, Answer>): number {
  let right = 0;
  for (const [number, { status, body }] of answers) {
    if (status === 200) {
      expect(body.outputs?.map(({ data }) => data)).toEqual([
        Array(16).fill(number + 1),
        Array(16).fill(number - 1),
      ]);
      right += 1;
    } else {
      expect([500, 503]).toContain(status);
      expect(body.error).toMatch(/\w/);
    }
  }
  return right;
}

/** Without modules and models: a thread that ends while it reads such a file leaves it open, which is Node's fault. */
const descriptors = () =>
  readdirSync('/proc/self/fd').filter((name) => !isReadByThreads(`/proc/self/fd/${name}`)).length;
const threads = () => readdirSync('/proc/self/task').length;

function isReadByThreads(descriptor: string): boolean {
  try {
    return /\.(m?js|onnx)$/.test(readlinkSync(descriptor));
  } catch {
    // It was the folder of descriptors itself.
    return true;
  }
}

/** What the server and its hosts have, when nothing is asked of them and all lanes are open. */
async function rest() {
  await allOpen();
  // How many lanes have the model is chance, so that none has it.
  await engine.unload('simple');
  agent.destroy();
  const states = await Promise.all(hosts.map((host) => host.state()));
  await engine.load('simple');
  return {
    requests: engine.requests,
    lanes: workers.size,
    sessions: states.map(({ sessions }) => sessions),
    descriptors: descriptors(),
    threads: threads(),
    bytes: states.map(({ bytes }) => bytes),
  };
}

/** Waits until as much is left as before: executors, sockets and threads take a moment to end. */
async function comesBackTo(before: Awaited<ReturnType<typeof rest>>): Promise<void> {
  let now = await rest();
  for (let wait = 0; wait < 100; wait += 1) {
    const isBack =
      now.requests === 0 &&
      now.lanes === before.lanes &&
      now.sessions.every((sessions, host) => sessions === before.sessions[host]) &&
      now.descriptors <= before.descriptors + 4 &&
      now.threads <= before.threads + 2 &&
      now.bytes.every((bytes) => bytes <= LANES * KEPT_BYTES);
    if (isBack) break;
    await setTimeout(300);
    now = await rest();
  }
  expect(now).toMatchObject({ requests: 0, lanes: before.lanes, sessions: before.sessions });
  expect(now.descriptors).toBeLessThanOrEqual(before.descriptors + 4);
  expect(now.threads).toBeLessThanOrEqual(before.threads + 2);
  for (const bytes of now.bytes) expect(bytes).toBeLessThanOrEqual(LANES * KEPT_BYTES);
}

function report(what: string, answers: ReadonlyMap<number, Answer>, right: number, since: number): void {
  const reasons = new Map<string, number>();
  for (const { status, body } of answers.values()) {
    const reason = `${status} ${body.error?.replaceAll(/\d+/g, 'N').slice(0, 100)}`;
    if (status !== 200) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const seconds = Math.round((performance.now() - since) / 1000);
  console.log(
    `${what}: ${answers.size} requests in ${seconds} s, ${right} answered`,
    Object.fromEntries(reasons),
  );
}

describe('a server under load', { timeout: 120_000 + 20_000 * (KILLS + RESTARTS) + 20 * CANCELLED }, () => {
  it(`answers each request once, or says why not, while ${KILLS} lanes are killed, and leaves nothing behind`, async () => {
    const before = await rest();
    const since = performance.now();
    const answers = await underLoad(async () => {
      for (let kill = 0; kill < KILLS; kill += 1) {
        await setTimeout(200 * random());
        // One lane goes on, so that there is load.
        await until(() => open.size > 1);
        await [...open][Math.floor(random() * open.size)]?.terminate();
      }
      await allOpen();
    });
    const right = checked(answers);
    report(`${KILLS} lanes killed`, answers, right, since);
    expect(right).toBeGreaterThan(0);
    await comesBackTo(before);
  });

  it(`answers each request once, or says why not, while hosts are restarted ${RESTARTS} times, and leaves nothing behind`, async () => {
    const before = await rest();
    const since = performance.now();
    const answers = await underLoad(async () => {
      for (let restart = 0; restart < RESTARTS; restart += 1) {
        const host = hosts[restart % hosts.length] as OwnHost;
        await setTimeout(300 * random());
        await host.kill();
        await host.start();
        await until(() => open.size > LANES);
      }
      await allOpen();
    });
    const right = checked(answers);
    report(`${RESTARTS} hosts restarted`, answers, right, since);
    expect(right).toBeGreaterThan(0);
    await comesBackTo(before);
  });

  it(`computes no request of ${CANCELLED} whose clients went away before it began, and leaves nothing behind`, async () => {
    const before = await rest();
    const since = performance.now();
    let left = 0;
    const answers = await underLoad(async () => {
      let next = 0;
      const leaver = async (): Promise<void> => {
        while (next < CANCELLED) {
          next += 1;
          const { status } = await ask(0, 20 * random());
          if (status === 0) left += 1;
        }
      };
      await Promise.all(Array.from({ length: 32 }, leaver));
    });
    const right = checked(answers);
    report(`${CANCELLED} clients, of which ${left} left`, answers, right, since);
    expect(right).toBe(answers.size);
    expect(left).toBeGreaterThan(0);
    await comesBackTo(before);
  });
});
