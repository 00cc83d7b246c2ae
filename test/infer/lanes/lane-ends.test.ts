import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openGpuLane } from '#farlight/infer/lanes/gpu/gpu-lane.js';
import type { Lane } from '#farlight/infer/lanes/lane.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { Daemon } from '#farlight/server/daemon.js';
import { until } from '../../support/machine/processes.js';
import { put, simple } from './models.js';
import '../../support/programs/liftoff.js';

/** A third each at its start, while it loads and while it runs. FARLIGHT_INFER_KILLS sets more. */
const ROUNDS = Number(process.env.FARLIGHT_INFER_KILLS ?? 12);

let folder: string;
let file: string;
let daemon: Daemon;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-lanes-'));
  file = put(folder, 'simple', simple());
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(async () => {
  daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null' });
});
afterEach(() => daemon.close());

const x: Tensor = { name: 'x', datatype: 'INT32', shape: [1, 16], data: new Uint8Array(64) };
const part = [{ value: x, from: 0, count: 1 }];
const run = (lane: Lane) =>
  lane.run({
    model: 'simple',
    inputs: { INPUT0: part, INPUT1: part },
    parts: [1],
    keep: [],
    fetch: ['OUTPUT0'],
  });

/** Opens a lane, and gives the worker that it starts as well. */
function opening(): { lane: Promise<Lane>; worker: Promise<Worker> } {
  const worker = new Promise<Worker>((resolve) => process.once('worker', resolve));
  return { lane: openGpuLane({ name: 'a', host: daemon.url }), worker };
}

/** How a promise of a lane ended, and whether the lane was lost before. */
function ended(promise: Promise<unknown>, lane: Lane) {
  let lost: string | undefined;
  void lane.lost.then((reason) => {
    lost = reason;
  });
  return promise.then(
    () => ({ name: 'none', message: '', lost }),
    ({ name, message }: Error) => ({ name, message, lost }),
  );
}

const threads = () => process.getActiveResourcesInfo().filter((name) => /worker|port/i.test(name)).length;

describe('the end of a lane', () => {
  it(`a lane whose worker is killed rejects its calls and leaves nothing behind, ${ROUNDS} times`, {
    timeout: 30_000 + ROUNDS * 7_000,
  }, async () => {
    const before = threads();
    for (let round = 0; round < ROUNDS; round += 1) {
      const { lane: opened, worker: starting } = opening();
      if (round % 3 === 0) {
        const end = opened.then(
          () => 'open',
          ({ name }) => name,
        );
        const worker = await starting;
        // At any moment of its start.
        await setTimeout((150 / ROUNDS) * round);
        await worker.terminate();
        expect(['open', 'LaneLostError']).toContain(await end);
        continue;
      }
      const worker = await starting;
      const lane = await opened;
      expect(threads()).toBeGreaterThan(before);
      const load = lane.load({ id: 'simple', file });
      if (round % 3 === 1) await load;
      const last = round % 3 === 1 ? run(lane) : load;
      const [one, two] = [ended(last, lane), ended(lane.unload('simple'), lane)];
      await worker.terminate();
      for (const end of [await one, await two])
        expect(end).toEqual({
          name: 'LaneLostError',
          message: 'Its worker ended.',
          lost: 'Its worker ended.',
        });
      await expect(run(lane)).rejects.toThrow('Its worker ended.');
      await lane.close();
    }
    await until(() => threads() <= before);
    await until(() => daemon.describe().sessions === 0);
  });

  it('a lane ends with its session, in the middle of a run', async () => {
    const lane = await opening().lane;
    await lane.load({ id: 'simple', file });
    await run(lane);
    const running = Array.from({ length: 5 }, () => ended(run(lane), lane));
    await daemon.close();
    for (const end of await Promise.all(running)) {
      if (end.name === 'none') continue;
      expect(end).toMatchObject({ name: 'LaneLostError', lost: end.message });
      expect(end.message).toMatch(/^Its GPU was lost: /);
    }
    expect(await lane.lost).toMatch(/^Its GPU was lost: .*/);
    await lane.close();
  });

  it('a closed lane gives its session back', async () => {
    const lane = await opening().lane;
    await lane.load({ id: 'simple', file });
    const running = ended(run(lane), lane);
    await lane.close();
    expect(await running).toEqual({
      name: 'LaneLostError',
      message: 'The lane was closed.',
      lost: 'The lane was closed.',
    });
    await until(() => daemon.describe().sessions === 0);
    await lane.close();
    await expect(run(lane)).rejects.toThrow('The lane was closed.');
  });

  it('opening a lane on an unreachable host fails with the reason', async () => {
    const closed = daemon.url;
    await daemon.close();
    await expect(openGpuLane({ name: 'a', host: closed })).rejects.toMatchObject({
      name: 'RunError',
      message: expect.stringMatching(/127\.0\.0\.1/),
    });
  });
});
