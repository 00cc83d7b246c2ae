import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { onnxBytes } from '../infer/lanes/models.js';
import { type Running, runFarlight, startFarlight } from '../support/hosts/farlight-command.js';
import { HAS_NATS } from '../support/lines/nats-server.js';
import { freePort } from '../support/machine/free-port.js';
import { killed, until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';
import { Random } from './support/chaos.js';
import { Cluster } from './support/cluster.js';

/** Without it, the test is left out: it takes minutes on a machine that does other things. */
const KILLS = Number(process.env.FARLIGHT_STREAM_KILLS ?? 0);
const SEED = Number(process.env.FARLIGHT_SEED ?? 20261129);
const KEYS = 6;
const WORKERS = 2;

const temporary = folders();
afterAll(() => temporary.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const FUNCTIONS = `
export function make({ n }) {
  return { x: { shape: [1, 1], data: Float32Array.of(Number(n.data[0])) } };
}
export function sum({ y, total }) {
  const data = Int32Array.of((total.data[0] + y.data[0]) % 1000003);
  return { total: { data }, sum: { data } };
}
`;
/** The model of version 2 weighs each number by 7. It counts the records of each key, too. */
const FACTORS = [1, 7];
const APPLICATION = `
sources:
  numbers: { generator: f.mjs#make, values: [x], keys: ${KEYS}, every: 10 }
steps:
  weigh:
    model: weigh
    version: 1
    inputs: { x: numbers.x }
    state: { count: { type: "FP32[1,1]", next: counted } }
  sum:
    function: f.mjs#sum
    inputs: { y: weigh.y }
    state: { total: "INT32[1]" }
sinks:
  totals: { file: totals.jsonl, values: { x: numbers.x, y: weigh.y, count: weigh.counted, sum: sum.sum } }
`;

interface Total {
  readonly x: number;
  readonly y: number;
  readonly count: number;
  readonly sum: number;
}

/** Multiplies by a factor and counts, with whole numbers that are exact in single precision. */
function weighing(factor: number): Uint8Array {
  const value = (name: string) => ({ name, type: 'FP32' as const, shape: ['items', 1] });
  return onnxBytes({
    inputs: [value('x'), value('count')],
    outputs: [value('y'), value('counted')],
    nodes: [
      { operator: 'Mul', inputs: ['x', 'factor'], outputs: ['y'] },
      { operator: 'Add', inputs: ['count', 'one'], outputs: ['counted'] },
    ],
    weights: {
      factor: { shape: [1], values: Float32Array.of(factor) },
      one: { shape: [1], values: Float32Array.of(1) },
    },
  });
}

/** A GPU host in a process of its own, which can be killed and started again at the same address. */
class GpuHost {
  readonly #address: string;
  #running: Running | undefined;

  static async start(): Promise<GpuHost> {
    const host = new GpuHost(`127.0.0.1:${await freePort()}`);
    cleanups.push(() => host.kill());
    await host.start();
    return host;
  }

  private constructor(address: string) {
    this.#address = address;
  }

  get url(): string {
    return `grpc://${this.#address}`;
  }

  async start(): Promise<void> {
    const running = startFarlight([
      ...['serve', '--listen', this.#address, '--no-dashboard'],
      ...['--adapter', 'software', '--contents', 'off'],
    ]);
    this.#running = running;
    await until(() => running.printed.stdout.includes('adapter:') || running.child.exitCode !== null);
    expect(running.printed.stdout, running.printed.stderr).toContain('adapter:');
  }

  async kill(): Promise<void> {
    if (this.#running) await killed(this.#running.child);
  }
}

describe('workers of several processes, joined by a real broker', () => {
  it.skipIf(!HAS_NATS || KILLS === 0)(
    'give each output once and in order, though workers, broker, coordinator and GPU hosts are killed and it is upgraded (needs: apt-get install nats-server, npm run stream-faults)',
    async () => {
      const random = new Random(SEED);
      const cluster = await Cluster.start(temporary.make(), cleanups, ['--checkpoint', '1']);
      const { server, file } = cluster;
      cluster.write('f.mjs', FUNCTIONS);
      cluster.write('app.yaml', APPLICATION);
      for (const [at, factor] of FACTORS.entries()) {
        const folder = join(cluster.folder, 'models/weigh', String(at + 1));
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, 'model.onnx'), weighing(factor));
      }
      cluster.write('models/weigh/config.yaml', 'maxBatch: 4\n');
      const hosts: GpuHost[] = [];
      for (let at = 0; at < WORKERS; at += 1) hosts.push(await GpuHost.start());
      const coordinate = () => cluster.coordinate('--partitions', '4', '--no-dashboard');
      const work = (at: number) => cluster.work('--host', hosts[at]?.url ?? '');
      const totals = () => cluster.lines<Total>('totals.jsonl');
      const grow = async (by: number) => {
        const count = totals().length;
        await until(() => totals().length >= count + by);
      };
      let coordinator = await coordinate();
      const workers = [];
      for (let at = 0; at < WORKERS; at += 1) workers.push(await work(at));
      await grow(50);
      let upgrades = 0;
      const upgrade = async () => {
        upgrades += 1;
        const version = 1 + (upgrades % 2);
        cluster.write('app.yaml', APPLICATION.replace('version: 1', `version: ${version}`));
        // A partition may have got another worker meanwhile, or a host may not have been back.
        while ((await runFarlight(['stream', 'upgrade', file])).code !== 0);
        // Each partition has its own cut, which may be later: else the next upgrade could hide this one.
        const factor = FACTORS[version - 1];
        await until(() => {
          const last = new Map(totals().map(({ key, values }) => [key, factorOf(values)]));
          return [...last.values()].every((each) => each === factor);
        });
      };
      const kills = { worker: 0, broker: 0, coordinator: 0, host: 0 };
      const kinds = ['worker', 'broker', 'coordinator', 'host'] as const;
      for (let at = 0; at < KILLS; at += 1) {
        const kind = kinds[at < kinds.length ? at : random.below(kinds.length)] ?? 'worker';
        const which = random.below(WORKERS);
        console.log(`kill ${at + 1}: ${kind} ${which}, ${totals().length} outputs`);
        kills[kind] += 1;
        if (kind === 'worker') {
          await killed((workers[which] as Running).child);
          workers[which] = await work(which);
        } else if (kind === 'broker') {
          await server.kill();
          await server.start();
        } else if (kind === 'coordinator') {
          await killed(coordinator.child);
          coordinator = await coordinate();
        } else {
          await hosts[which]?.kill();
          await hosts[which]?.start();
        }
        if (at % 4 === 0) await upgrade();
        await grow(30);
      }
      await upgrade();
      await grow(30);
      // A worker that ends by itself gives its partitions back.
      workers[0]?.child.kill('SIGTERM');
      expect(await workers[0]?.done).toMatchObject({ code: 0 });
      await grow(30);
      coordinator.child.kill('SIGTERM');
      expect(await coordinator.done).toMatchObject({ code: 0 });

      // Each output once, by key in order, each following from the one before it, and each upgrade at one cut by key.
      const all = totals();
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
      let switches = 0;
      for (let key = 0; key < KEYS; key += 1) {
        const mine = all.filter((each) => each.key === `n${key}`);
        // A difference is shown with its surroundings, in the order of the file.
        const wrong = mine.findIndex(
          ({ values: { x, count } }, at) => x !== key + at * KEYS || count !== at + 1,
        );
        const around = wrong < 0 ? [] : mine.slice(Math.max(0, wrong - 3), wrong + 4);
        expect(around.map((each) => JSON.stringify(each))).toEqual([]);
        let sum = 0;
        let factor = 1;
        let switched = 0;
        for (const { values } of mine) {
          sum = (sum + values.y) % 1000003;
          expect(values.sum).toBe(sum);
          // The first number of the first key is 0: it has no factor.
          const now = values.x === 0 ? factor : factorOf(values);
          expect(FACTORS).toContain(now);
          if (now !== factor) switched += 1;
          factor = now;
        }
        expect(switched).toBeLessThanOrEqual(upgrades);
        switches = Math.max(switches, switched);
      }
      expect(switches).toBe(upgrades);
      console.log(
        `seed ${SEED}: kills ${JSON.stringify(kills)}, ${upgrades} upgrades, ${all.length} outputs`,
      );
    },
    120_000 + KILLS * 40_000,
  );
});

function factorOf({ x, y }: Total): number {
  return y / x;
}
