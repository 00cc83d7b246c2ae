import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { NatsBroker } from '#farlight/stream/broker/nats-broker.js';
import { connectNats, type Nats } from '#farlight/stream/broker/nats-connection.js';
import { startFarlight } from '../support/hosts/farlight-command.js';
import { HAS_NATS, NatsServer } from '../support/lines/nats-server.js';
import { until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const NEEDS = '(needs: apt-get install nats-server)';

const APPLICATION = `
sources:
  readings: { nats: sensors.*, types: { x: "INT32[1]" } }
steps:
  sum:
    function: f.mjs#sum
    inputs: { x: readings.x }
    state: { total: "INT32[1]" }
sinks:
  totals: { nats: totals, values: { y: sum.y } }
`;
const FUNCTIONS = `
export function sum({ x, total }) {
  const data = Int32Array.of(total.data[0] + x.data[0]);
  return { total: { data }, y: { data } };
}
`;

async function broker(more: readonly string[] = []): Promise<NatsServer> {
  const server = await NatsServer.start(temporary.make(), more);
  cleanups.push(() => server.kill());
  return server;
}

describe('a subject of NATS', () => {
  it.skipIf(!HAS_NATS)(
    `gives each message once and takes each output once, though the process and the server are killed ${NEEDS}`,
    async () => {
      const server = await broker();
      const nats = await connectNats({ url: server.url });
      cleanups.push(() => nats.close());
      await nats.manager.streams.add({ name: 'SENSORS', subjects: ['sensors.*'] });
      await nats.manager.streams.add({ name: 'TOTALS', subjects: ['totals'] });
      const folder = temporary.make();
      const file = join(folder, 'app.yaml');
      writeFileSync(file, APPLICATION);
      writeFileSync(join(folder, 'f.mjs'), FUNCTIONS);
      const run = async () => {
        const args = ['stream', 'run', file, '--no-durable', '--listen', 'off', '--nats', server.url];
        const running = startFarlight(args);
        cleanups.push(() => running.child.kill('SIGKILL'));
        await until(() => running.printed.stdout.includes('ready') || running.child.exitCode !== null);
        expect(running.printed.stdout, running.printed.stderr).toContain('farlight stream ready');
        return running;
      };
      const totals = async () => (await nats.manager.streams.info('TOTALS')).state.messages;
      const reach = async (count: number) => {
        while ((await totals().catch(() => 0)) < count)
          await new Promise((resolve) => setTimeout(resolve, 20));
      };
      let sent = 0;
      const send = async (count: number) => {
        for (const end = sent + count; sent < end; sent += 1) {
          const body = JSON.stringify({ values: { x: sent } });
          const publish = () => nats.jetstream.publish(`sensors.${sent % 2}`, body, { msgID: `m${sent}` });
          // While the server is away there is no answer.
          while (!(await publish().catch(() => undefined)));
        }
      };
      let running = await run();
      await nats.jetstream.publish('sensors.0', 'no record');
      await send(40);
      await reach(30);
      running.child.kill('SIGKILL');
      await running.done;
      await send(20);
      running = await run();
      await server.kill();
      await server.start();
      await send(20);
      await reach(80);
      running.child.kill('SIGTERM');
      expect(await running.done).toMatchObject({ code: 0 });

      const state = (await nats.manager.streams.info('TOTALS')).state;
      expect(state.messages).toBe(80);
      const sums = new Map<string, number[]>();
      for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
        const message = await nats.manager.streams.getMessage('TOTALS', { seq });
        const { key, values } = JSON.parse(message?.string() ?? '{}');
        sums.set(key, [...(sums.get(key) ?? []), values.y]);
      }
      const expected = [0, 1].map((key) => {
        let sum = 0;
        const numbers = Array.from({ length: 40 }, (_, at) => 2 * at + key);
        return [`sensors.${key}`, numbers.map((x) => (sum += x))] as const;
      });
      expect(sums).toEqual(new Map(expected));
    },
    60_000,
  );

  it.skipIf(!HAS_NATS)(`is reached with a user and a password, or not at all ${NEEDS}`, async () => {
    const server = await broker(['--user', 'ada', '--pass', 'secret']);
    await expect(connectNats({ url: server.url })).rejects.toThrow(/cannot be reached: .*[Aa]uthorization/);
    const nats = await connectNats({ url: server.url.replace('//', '//ada:secret@') });
    await nats.close();
    await expect(connectNats({ url: 'http://127.0.0.1:1' })).rejects.toThrow('is no address of NATS');
  });
});

/** A broker at a server of its own, with the stream of outputs. */
async function outputs(): Promise<{ server: NatsServer; nats: Nats; shared: NatsBroker }> {
  const server = await broker();
  const nats = await connectNats({ url: server.url });
  cleanups.push(() => nats.close());
  const shared = await NatsBroker.open(nats, 'app', 1);
  await shared.openStream('outputs');
  return { server, nats, shared };
}

describe('the broker at NATS', () => {
  it.skipIf(!HAS_NATS)(
    `gives an object whole, and an error where its server goes in the middle of it ${NEEDS}`,
    async () => {
      const { server, nats, shared } = await outputs();
      const bytes = randomBytes(64 << 20);
      await shared.put('object', bytes);
      expect(bytes.equals((await shared.get('object')) as Uint8Array)).toBe(true);
      expect(await shared.get('none')).toBe(undefined);
      const before = nats.connection.stats().inBytes;
      const got = shared.get('object').then(
        () => 'it came',
        (error) => error.message,
      );
      await until(() => nats.connection.stats().inBytes > before + (1 << 20));
      await server.kill();
      expect(await got).toBe('NATS has sent nothing of an object for 5 seconds');
    },
  );

  it.skipIf(!HAS_NATS)(
    `gives all messages of the other partitions in order, though one partition is trimmed ahead of the reader ${NEEDS}`,
    async () => {
      const { shared } = await outputs();
      const last = [0, 0];
      for (let at = 0; at < 400; at += 1) {
        const partition = at % 2;
        const message = { id: `m${at}`, body: Uint8Array.of(at % 256) };
        last[partition] = await shared.append('outputs', partition, message, last[partition] ?? 0);
      }
      let woken = 0;
      const following = await shared.follow('outputs', undefined, 1, () => {
        woken += 1;
      });
      cleanups.push(() => following.close());
      // It has read ahead all that it may.
      await until(() => woken >= 64);
      await shared.trim('outputs', 0, 351);
      const seen: number[] = [];
      await until(() => {
        for (let next = following.next(); next; next = following.next()) seen.push(next.sequence);
        return seen.at(-1) === 400;
      });
      const others = Array.from({ length: 200 }, (_, at) => 2 * at + 2);
      expect(seen.filter((sequence) => sequence % 2 === 0)).toEqual(others);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
    },
  );

  it.skipIf(!HAS_NATS)(
    `goes on with the next message and the latest keys, though the package has given up reading ${NEEDS}`,
    async () => {
      const { nats, shared } = await outputs();
      const opened: { stop(error?: Error): void }[] = [];
      const { consumers } = nats.jetstream;
      for (const method of ['get', 'getPushConsumer'] as const) {
        const get = consumers[method].bind(consumers) as (...args: unknown[]) => Promise<never>;
        const watched = async (...args: unknown[]) => {
          const consumer: { consume(...args: unknown[]): Promise<(typeof opened)[number]> } = await get(
            ...args,
          );
          const consume = consumer.consume.bind(consumer);
          consumer.consume = async (...options) => {
            const messages = await consume(...options);
            opened.push(messages);
            return messages;
          };
          return consumer;
        };
        Object.assign(consumers, { [method]: watched });
      }
      const following = await shared.follow('outputs', 0, 1, () => {});
      cleanups.push(() => following.close());
      const keys: string[] = [];
      const watching = await shared.watch((key) => keys.push(key));
      cleanups.push(() => watching.close());
      const seen: number[] = [];
      const give = async (sequence: number) => {
        await shared.append('outputs', 0, { id: `m${sequence}`, body: Uint8Array.of(1) }, sequence - 1);
        await shared.write(`key${sequence}`, Uint8Array.of(1), 0);
        await until(() => {
          for (let next = following.next(); next; next = following.next()) seen.push(next.sequence);
          return seen.includes(sequence) && keys.includes(`key${sequence}`);
        });
      };
      await give(1);
      expect(opened).toHaveLength(2);
      for (const messages of opened.splice(0)) messages.stop(new Error('no consumer could be made'));
      await give(2);
      expect(opened).toHaveLength(2);
      expect(seen).toEqual([1, 2]);
    },
  );

  it.skipIf(!HAS_NATS)(
    `keeps the last message of a partition, also if it is the first of all ${NEEDS}`,
    async () => {
      const { shared } = await outputs();
      await shared.append('outputs', 0, { id: 'fence', body: Uint8Array.of(0) }, 0);
      await shared.trim('outputs', 0, 9);
      expect(await shared.last('outputs', 0)).toMatchObject({ id: 'fence', sequence: 1 });
    },
  );
});
