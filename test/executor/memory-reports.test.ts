import { beforeEach, describe, expect, it } from 'vitest';
import type { MemoryState } from '#farlight/proto/session/memory.js';
import type { ShareReport } from '#farlight/proto/session/shares.js';
import { GpuMemory } from '#farlight/server/executor/limits/gpu-memory.js';
import { MemoryReports } from '#farlight/server/executor/limits/memory-reports.js';
import { FakeTime } from '../support/time/fake-time.js';

let time: FakeTime;
let asked: ShareReport[];
let told: MemoryState[];
let takes: boolean;

beforeEach(() => {
  time = new FakeTime();
  asked = [];
  told = [];
  takes = true;
});

/** The memory of a session; `capacity` is what is found where there is no daemon. */
function make({ daemon = true, capacity }: { daemon?: boolean; capacity?: number } = {}) {
  let finds = 0;
  const memory: GpuMemory = new GpuMemory({ onChange: () => reports.changed() });
  const reports: MemoryReports = new MemoryReports({
    memory,
    ask: daemon ? (report) => asked.push(report) : undefined,
    find: async () => {
      finds += 1;
      return capacity;
    },
    send: (state) => {
      if (takes) told.push(state);
      return takes;
    },
    clock: time.clock,
  });
  const hold = (bytes: number) =>
    memory.allocate({ operation: 'x', bytes, exceeds: () => false, make: () => ({}) });
  return { memory, reports, hold, found: () => finds };
}

const tenant = { limit: 1000, others: 200, reclaimable: 900, queue: 1 };

describe("a session's memory", () => {
  it('is told as it is when the client asks, with what the daemon replies', async () => {
    const { memory, reports, hold } = make();
    const object = hold(100);
    memory.granted({ bytes: 700, limit: 1000, others: 0 });
    await reports.reserve(50);
    const state = reports.read();
    memory.destroyed(object);
    expect(asked).toEqual([{ type: 'readMemory' }]);
    reports.told(tenant);
    expect(await state).toEqual({
      limit: 1000,
      available: 1000 - 200 - 100 - 50,
      reclaimable: 650,
      used: 100,
      peak: 100,
      reserved: 50,
      queue: 1,
    });
  });

  it('is asked for once where the client asks several times at once', async () => {
    const { reports } = make();
    const states = [reports.read(), reports.read()];
    expect(asked).toHaveLength(1);
    reports.told(tenant);
    expect(await Promise.all(states)).toHaveLength(2);
    void reports.read();
    expect(asked).toHaveLength(2);
  });

  it('has no limit where nothing tells one, and then none can be reserved', async () => {
    const { reports } = make({ daemon: false });
    expect(await reports.read()).toMatchObject({ limit: undefined, available: undefined });
    await expect(reports.reserve(1)).rejects.toThrow(
      /nothing tells how much memory this GPU has.*--gpu-capacity/,
    );
  });

  it('is bounded by what the GPU has where there is no daemon, from when it is asked for', async () => {
    const { memory, reports, hold } = make({ daemon: false, capacity: 1000 });
    hold(300);
    expect(memory.isBounded).toBe(false);
    expect(await reports.reserve(701)).toBe(false);
    expect(await reports.reserve(700)).toBe(true);
    expect(await reports.read()).toMatchObject({ limit: 1000, available: 0, used: 300, reserved: 700 });
    expect(memory.fits(701)).toBe(false);
  });

  it('is found once where there is no daemon, however often the client asks and whatever changes', async () => {
    const { reports, hold, found } = make({ daemon: false, capacity: 1000 });
    reports.watch(true);
    for (let at = 0; at < 5; at += 1) {
      hold(1);
      await reports.read();
      await time.pass(100);
    }
    expect(told.at(-1)).toMatchObject({ limit: 1000, used: 5 });
    expect(found()).toBe(1);
  });

  it('is told to a client that watches, at most ten times a second, and only where it has changed', async () => {
    const { reports, hold } = make();
    reports.watch(true);
    await time.pass(1);
    expect(asked).toEqual([{ type: 'watchMemory', on: true }]);
    reports.told(tenant);
    expect(told).toHaveLength(1);
    for (let at = 0; at < 1000; at += 1) {
      hold(1);
      await time.pass(1);
    }
    expect(told.length).toBeGreaterThan(8);
    expect(told.length).toBeLessThanOrEqual(12);
    await time.pass(200);
    expect(told.at(-1)).toMatchObject({ used: 1000, peak: 1000 });
    const count = told.length;
    await time.pass(1000);
    expect(told).toHaveLength(count);
    expect(time.waiting).toBe(0);
  });

  it("a watch begins with the daemon's new reply, and not with its reply to an earlier read", async () => {
    const { reports } = make();
    void reports.read();
    reports.told(tenant);
    reports.watch(true);
    await time.pass(1);
    expect(told).toEqual([]);
    reports.told({ ...tenant, others: 300 });
    expect(told).toMatchObject([{ available: 700 }]);
  });

  it('is told later where the connection takes nothing, and then as it is by then', async () => {
    const { reports, hold } = make();
    reports.watch(true);
    await time.pass(1);
    reports.told(tenant);
    takes = false;
    hold(1);
    await time.pass(500);
    hold(1);
    expect(told).toHaveLength(1);
    takes = true;
    await time.pass(200);
    expect(told.map(({ used }) => used)).toEqual([0, 2]);
  });

  it('costs the daemon one message however often a client begins and ends to watch within a tenth of a second', async () => {
    const { reports } = make();
    for (let times = 0; times < 1000; times += 1) reports.watch(times % 2 === 0);
    reports.watch(true);
    await time.pass(10);
    expect(asked).toEqual([{ type: 'watchMemory', on: true }]);
    reports.watch(false);
    await time.pass(200);
    expect(asked).toEqual([
      { type: 'watchMemory', on: true },
      { type: 'watchMemory', on: false },
    ]);
  });

  it('is told to nobody after the end of the session', async () => {
    const { reports } = make();
    reports.watch(true);
    await time.pass(1);
    reports.stop();
    reports.told(tenant);
    await time.pass(500);
    expect(told).toEqual([]);
  });
});
