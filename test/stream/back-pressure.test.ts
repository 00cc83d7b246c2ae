import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { PROCESS_CLOCK } from '#farlight/link/machine/timer.js';
import { CheckpointStore } from '#farlight/stream/log/checkpoint-store.js';
import { RecordLog } from '#farlight/stream/log/record-log.js';
import { Application, type StoredCheckpoint } from '#farlight/stream/run/application.js';
import type { Output } from '#farlight/stream/sinks/sink.js';
import { folders } from '../support/trust/trust.js';
import { definitionOf } from './support/observed.js';

const KIB = 1024;
const MIB = 1024 * KIB;

const temporary = folders();
const closing: Application[] = [];
afterEach(async () => {
  for (const application of closing.splice(0)) await application.close();
});
afterAll(() => temporary.remove());

/** An application with its log on the disk, whose step gives its input back and whose sink takes nothing while it is stopped. */
async function opened(window: { window?: number; windowBytes?: number }) {
  const folder = temporary.make();
  const offsets: number[] = [];
  let go = () => {};
  let stopped: Promise<void> | undefined;
  const application = await Application.open(
    {
      ...window,
      checkpoints: new CheckpointStore<StoredCheckpoint>(join(folder, 'checkpoints')),
      clock: PROCESS_CLOCK,
      log: () => {},
      openLog: (source) =>
        RecordLog.open({ folder: join(folder, source), durable: false, segmentBytes: MIB }),
      openSource: async () => ({ close: async () => {} }),
      openSink: async (name) => ({
        async write(outputs: readonly Output[]) {
          if (name !== 'out') return;
          await stopped;
          offsets.push(...outputs.map(({ offset }) => offset));
        },
        mark: () => undefined,
        close: async () => {},
      }),
      runner: {
        prepare: async () => {},
        release: async () => {},
        run: async ({ inputs }) => ({ outputs: { o: inputs.i0 as Tensor }, state: {} }),
        migrate: async () => ({}),
      },
    },
    async () => definitionOf('v1', 2),
  );
  closing.push(application);
  return {
    application,
    offsets,
    stop: () => {
      stopped = new Promise((resolve) => {
        go = resolve;
      });
    },
    go: () => go(),
  };
}

function recordOf(at: number, length: number) {
  const x: Tensor = { name: 'x', datatype: 'UINT8', shape: [length], data: new Uint8Array(length) };
  return { key: `k${at % 7}`, values: { x } };
}

describe('a sink that stops while its source goes on', () => {
  it('has as many records in memory as the window, the others in the log, and loses none', async () => {
    const { application, offsets, stop, go } = await opened({ window: 100 });
    stop();
    // What a source gives in a minute.
    for (let at = 0; at < 3000; at += 50) {
      const some = Array.from({ length: 50 }, (_, index) => recordOf(at + index, 4 * KIB));
      await Promise.all(some.map((record) => application.ingest('sound', record)));
      expect(application.status().passing).toBeLessThanOrEqual(100);
    }
    await expect.poll(() => application.status().passing).toBe(100);
    expect(application.backlog('sound')).toBe(2900);
    expect(offsets).toEqual([]);
    go();
    await expect.poll(() => offsets.length, { timeout: 30_000 }).toBe(3000);
    expect(new Set(offsets).size).toBe(3000);
    for (let key = 0; key < 7; key += 1) {
      const mine = offsets.filter((offset) => offset % 7 === key);
      expect(mine).toEqual([...mine].sort((a, b) => a - b));
    }
    expect(application.status()).toMatchObject({ passing: 0, sources: [{ waiting: 0 }] });
  });

  it('has at most so many bytes in memory where records are long, and one that is longer goes alone', async () => {
    const { application, offsets, stop, go } = await opened({ windowBytes: 5 * MIB });
    stop();
    for (let at = 0; at < 24; at += 1)
      await application.ingest('sound', recordOf(at, at === 12 ? 8 * MIB : MIB));
    await expect.poll(() => application.status().passing).toBe(5);
    expect(application.backlog('sound')).toBe(19);
    go();
    await expect.poll(() => offsets.length, { timeout: 30_000 }).toBe(24);
    expect(application.status().passing).toBe(0);
  });
});
