import { beforeEach, describe, expect, it } from 'vitest';
import type { MemoryState } from '#farlight/client/index.js';
import { LanesMemory } from '#farlight/infer/hosts/lanes-memory.js';
import type { Lane, LaneMemory } from '#farlight/infer/lanes/lane.js';
import { FakeTime } from '../../support/time/fake-time.js';

let time: FakeTime;
let memory: LanesMemory;
let changes: number;

beforeEach(() => {
  time = new FakeTime();
  memory = hostMemory({ limit: LIMIT });
  changes = 0;
  memory.onChange(() => {
    changes += 1;
  });
});

const LIMIT = 1000;

/** The memory of a host that told this limit before it had lanes. */
function hostMemory(told: { limit: number | undefined; most?: number }): LanesMemory {
  return new LanesMemory({ name: 'the host', clock: time.clock, ...told });
}

/** A lane whose host tells this. `others` is what the host believes that other sessions of the tenant use. */
function open(state: { used?: number; reserved?: number; others?: number; limit?: number | undefined } = {}) {
  let lose: (reason: string) => void = () => {};
  const lost = new Promise<string>((resolve) => {
    lose = resolve;
  });
  const held = { state: stateOf(state), onChange: () => {} } satisfies LaneMemory;
  memory.add({ name: 'a', memory: held as LaneMemory, lost } as Lane);
  return {
    lose,
    tell(newer: Parameters<typeof open>[0]) {
      held.state = stateOf(newer);
      held.onChange();
    },
  };
}

function stateOf({
  used = 0,
  reserved = 0,
  others = 0,
  ...more
}: Parameters<typeof open>[0] = {}): MemoryState {
  const limit = 'limit' in more ? more.limit : LIMIT;
  const available = limit === undefined ? undefined : Math.max(0, limit - others - used - reserved);
  return { limit, available, reclaimable: 0, used, peak: used, reserved, queue: 0 };
}

describe('the memory of a host that lanes are told of', () => {
  it("lanes may have all of their tenant's memory, however much of it they use themselves", async () => {
    const lane = open();
    expect(memory.capacity).toEqual({ bytes: LIMIT, limit: LIMIT });
    const before = changes;
    for (const used of [100, 600, 0, 300]) {
      lane.tell({ used, reserved: used / 2 });
      await time.pass(100);
    }
    await time.pass(2000);
    expect(memory.capacity).toEqual({ bytes: LIMIT, limit: LIMIT });
    expect(changes).toBe(before);
  });

  it('lanes have less once other sessions of the tenant have used some for a while', async () => {
    const lane = open();
    lane.tell({ used: 100, others: 300 });
    expect(memory.capacity.bytes).toBe(LIMIT);
    await time.pass(1500);
    expect(memory.capacity).toEqual({ bytes: LIMIT - 300, limit: LIMIT });
    lane.tell({ used: 100, others: 0 });
    expect(memory.capacity.bytes).toBe(LIMIT);
  });

  it("the memory of another lane does not count as others' while the host hears of it late", async () => {
    const [first, second] = [open(), open()];
    second.tell({ used: 400 });
    for (let round = 0; round < 10; round += 1) {
      // The second lane has given it back, and the host still tells the first of it.
      second.tell({ used: 0 });
      first.tell({ used: 10, others: 400 });
      await time.pass(250);
      second.tell({ used: 400 });
      first.tell({ used: 10, others: 400 });
      await time.pass(250);
    }
    expect(memory.capacity).toEqual({ bytes: LIMIT, limit: LIMIT });
  });

  it("the lanes' memory falls at once if other tenants take some, and the limit stays", () => {
    const lane = open();
    lane.tell({ used: 100, limit: 600 });
    expect(memory.capacity).toEqual({ bytes: 600, limit: LIMIT });
    lane.tell({ used: 100 });
    expect(memory.capacity).toEqual({ bytes: LIMIT, limit: LIMIT });
  });

  it('a lost lane counts no more', async () => {
    const [first, second] = [open(), open()];
    second.tell({ used: 400 });
    first.tell({ others: 400 });
    second.lose('gone');
    await time.pass(10);
    first.tell({ others: 0 });
    await time.pass(2000);
    expect(memory.capacity.bytes).toBe(LIMIT);
    first.tell({ others: 300 });
    await time.pass(1500);
    expect(memory.capacity.bytes).toBe(LIMIT - 300);
  });

  it("until a lane is open the host's first report counts, and the last one while none is open any more", async () => {
    expect(memory.capacity).toEqual({ bytes: LIMIT, limit: LIMIT });
    const lane = open({ limit: 600 });
    expect(memory.capacity).toEqual({ bytes: 600, limit: LIMIT });
    lane.lose('The host has ended.');
    await time.pass(5000);
    expect(memory.capacity).toEqual({ bytes: 600, limit: LIMIT });
    open({ limit: 800 });
    expect(memory.capacity).toEqual({ bytes: 800, limit: LIMIT });
  });

  it("the lanes' memory is at most the size that the user states", async () => {
    memory = hostMemory({ limit: LIMIT, most: 700 });
    expect(memory.capacity).toEqual({ bytes: 700, limit: 700 });
    const lane = open();
    expect(memory.capacity).toEqual({ bytes: 700, limit: 700 });
    lane.tell({ used: 500, limit: 300 });
    expect(memory.capacity).toEqual({ bytes: 300, limit: 700 });
  });

  it('the lanes have all of the stated size while others use no more than the rest', async () => {
    memory = hostMemory({ limit: LIMIT, most: 700 });
    const lane = open();
    lane.tell({ others: 200 });
    await time.pass(1500);
    expect(memory.capacity).toEqual({ bytes: 700, limit: 700 });
    lane.tell({ others: 500 });
    await time.pass(1500);
    expect(memory.capacity).toEqual({ bytes: 500, limit: 700 });
  });

  it('the size must be stated if the host does not know its memory, now or after a restart', async () => {
    const says = /the host cannot tell .*--gpu-memory SIZE.*--gpu-capacity SIZE/;
    expect(() => hostMemory({ limit: undefined })).toThrow(says);
    expect(() => open({ limit: undefined })).toThrow(says);
    memory = hostMemory({ limit: undefined, most: 700 });
    expect(memory.capacity).toEqual({ bytes: 700, limit: 700 });
    const lane = open({ limit: undefined });
    lane.tell({ limit: undefined, used: 500 });
    await time.pass(1500);
    expect(memory.capacity).toEqual({ bytes: 700, limit: 700 });
  });

  it("the memory is told by use: the lanes', reserved, and others'", () => {
    open({ used: 100, reserved: 50, others: 200 });
    open({ used: 200, others: 0 });
    const { used, reserved } = memory.told;
    expect({ used, reserved }).toEqual({ used: 300, reserved: 50 });
    const lonely = hostMemory({ limit: LIMIT });
    expect(lonely.told).toEqual({ used: 0, reserved: 0, others: 0, queue: 0 });
  });
});
