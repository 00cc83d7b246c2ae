import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type Running, runFarlight, startFarlight } from '../support/hosts/farlight-command.js';
import { HAS_NATS, NatsServer } from '../support/lines/nats-server.js';
import { until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';
import { Random } from './support/chaos.js';

/** Without it, the test is left out: it takes minutes on a machine that does other things. */
const KILLS = Number(process.env.FARLIGHT_STREAM_KILLS ?? 0);
const SEED = Number(process.env.FARLIGHT_SEED ?? 20261129);
const KEYS = 6;

const temporary = folders();
afterAll(() => temporary.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const FUNCTIONS = `
export function make({ n }) {
  return { x: { data: Int32Array.of(Number(n.data[0])) } };
}
export function sum({ x, total }) {
  const data = Int32Array.of((total.data[0] + x.data[0]) % 1000003);
  return { total: { data }, y: { data }, from: { data: Int32Array.of(1) } };
}
export function weigh({ x, total }) {
  const data = Int32Array.of((total.data[0] + 7 * x.data[0]) % 1000003);
  return { total: { data }, y: { data }, from: { data: Int32Array.of(7) } };
}
`;
const APPLICATION = `
sources:
  numbers: { generator: f.mjs#make, values: [x], keys: ${KEYS}, every: 10 }
steps:
  sum:
    function: f.mjs#sum
    inputs: { x: numbers.x }
    state: { total: "INT32[1]" }
sinks:
  totals: { file: totals.jsonl, values: { x: numbers.x, y: sum.y, factor: sum.from } }
`;

interface Total {
  readonly id: string;
  readonly offset: number;
  readonly key: string;
  readonly values: { readonly x: number; readonly y: number; readonly factor: number };
}

describe('workers of several processes, joined by a real broker', () => {
  it.skipIf(!HAS_NATS || KILLS === 0)(
    'give each output once and in order, though workers, broker and coordinator are killed and it is upgraded (needs: apt-get install nats-server, npm run stream-faults)',
    async () => {
      const random = new Random(SEED);
      const folder = temporary.make();
      const server = await NatsServer.start(join(folder, 'nats'));
      cleanups.push(() => server.kill());
      const file = join(folder, 'app.yaml');
      writeFileSync(join(folder, 'f.mjs'), FUNCTIONS);
      writeFileSync(file, APPLICATION);
      const start = async (args: readonly string[]): Promise<Running> => {
        const running = startFarlight(
          ['stream', ...args, '--nats', server.url, '--checkpoint', '1'],
          {},
          folder,
        );
        cleanups.push(() => running.child.kill('SIGKILL'));
        await until(() => running.printed.stdout.includes('ready') || running.child.exitCode !== null);
        expect(running.printed.stdout, running.printed.stderr).toContain('ready');
        return running;
      };
      const coordinate = () =>
        start([
          'run',
          file,
          '--workers',
          '--no-work',
          '--partitions',
          '4',
          '--listen',
          'off',
          '--no-dashboard',
        ]);
      let named = 0;
      const work = () => {
        named += 1;
        return start(['worker', 'app', '--state', join(folder, `worker-${named}`)]);
      };
      const kill = async (running: Running | undefined) => {
        running?.child.kill('SIGKILL');
        await running?.done;
      };
      const totals = (): Total[] => {
        const path = join(folder, 'totals.jsonl');
        const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
        return text
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line));
      };
      const grow = async (by: number) => {
        const count = totals().length;
        await until(() => totals().length >= count + by);
      };
      let coordinator = await coordinate();
      const workers = [await work(), await work()];
      await grow(50);
      let upgrades = 0;
      const upgrade = async () => {
        upgrades += 1;
        writeFileSync(
          file,
          upgrades % 2 === 1 ? APPLICATION.replace('f.mjs#sum', 'f.mjs#weigh') : APPLICATION,
        );
        // A partition may have got another worker meanwhile.
        while ((await runFarlight(['stream', 'upgrade', file])).code !== 0);
        // Each partition has its own cut, which may be later: else the next upgrade could hide this one.
        const factor = upgrades % 2 === 1 ? 7 : 1;
        await until(() => {
          const last = new Map(totals().map(({ key, values }) => [key, values.factor]));
          return [...last.values()].every((each) => each === factor);
        });
      };
      for (let at = 0; at < KILLS; at += 1) {
        const victim = at < 3 ? at : random.below(3);
        if (victim === 0) {
          const which = random.below(workers.length);
          await kill(workers[which]);
          workers[which] = await work();
        } else if (victim === 1) {
          await server.kill();
          await server.start();
        } else {
          await kill(coordinator);
          coordinator = await coordinate();
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
        const wrong = mine.findIndex(({ values }, at) => values.x !== key + at * KEYS);
        const around = wrong < 0 ? [] : mine.slice(Math.max(0, wrong - 3), wrong + 4);
        expect(around.map((each) => JSON.stringify(each))).toEqual([]);
        let sum = 0;
        let factor = 1;
        let switched = 0;
        for (const { values } of mine) {
          sum = (sum + values.factor * values.x) % 1000003;
          expect(values.y).toBe(sum);
          if (values.factor !== factor) switched += 1;
          factor = values.factor;
        }
        expect(switched).toBeLessThanOrEqual(upgrades);
        switches = Math.max(switches, switched);
      }
      expect(switches).toBe(upgrades);
      console.log(`${KILLS} kills, ${upgrades} upgrades, ${all.length} outputs`);
    },
    60_000 + KILLS * 30_000,
  );
});
