import { describe, expect, it } from 'vitest';
import { GpuMemory, type GpuMemoryOptions } from '#farlight/server/executor/limits/gpu-memory.js';
import type { Entry } from '#farlight/server/executor/objects/object-table.js';
import { turn } from '../support/clients/scripted-transport.js';

/** The memory of a session that was granted so many bytes, and is held to them. */
const limited = (bytes: number, more: GpuMemoryOptions = {}) =>
  new GpuMemory({ grant: { bytes, limit: bytes, others: 0 }, untilCollected: true, ...more });

const request = (bytes: number, made: object = {}) => ({
  operation: 'GPUDevice.createBuffer',
  bytes,
  exceeds: () => false,
  make: () => made,
});

const entry = (kind: string, object: object): Entry => ({ id: 1, kind, device: undefined, object });

/** Runs `act` in its own job, so that the objects that it makes can be collected afterwards. */
async function inOwnJob(act: () => void): Promise<void> {
  act();
  await turn();
}

describe("a session's GPU memory", () => {
  it('is refused beyond the grant, with a message that says what is left, and nothing is made', () => {
    const memory = limited(100);
    memory.allocate(request(60));
    memory.allocate(request(40));
    let made = false;
    const make = () => {
      made = true;
      return {};
    };
    const refused = { ...request(1), make };
    expect(() => memory.allocate(refused)).toThrow(RangeError);
    expect(() => memory.allocate(refused)).toThrow(
      /createBuffer: 1 bytes .* 100 bytes .* 100 are in use or reserved; destroy.*--gpu-memory/,
    );
    expect(made).toBe(false);
    expect(memory.ledger.used).toBe(100);
  });

  it('comes back once when its owner is destroyed', () => {
    const memory = limited(100);
    const holder = memory.allocate(request(60));
    memory.allocate(request(40));
    memory.destroyed(holder);
    memory.destroyed(holder);
    memory.released(holder);
    expect(memory.ledger.used).toBe(40);
  });

  it('is not taken by an object that could not be made', () => {
    const memory = limited(100);
    const make = () => {
      throw new Error('refused');
    };
    expect(() => memory.allocate({ ...request(60), make })).toThrow('refused');
    expect(memory.ledger.used).toBe(0);
  });

  it('is not checked for an object that the implementation refuses anyway', () => {
    const memory = limited(100);
    const made = {};
    expect(memory.allocate({ ...request(1000, made), exceeds: () => true })).toBe(made);
    expect(memory.ledger.used).toBe(0);
  });

  it('comes back from released objects as soon as it is needed', async () => {
    const memory = limited(100);
    await inOwnJob(() => memory.released(memory.allocate(request(90))));
    expect(memory.allocate(request(90))).toBeDefined();
    expect(memory.ledger.used).toBe(90);
  });

  it('does not come back while a view, a bind group or commands keep its owner', async () => {
    for (const [kind, made] of [
      ['GPUTexture', 'GPUTextureView'],
      ['GPUDevice', 'GPUBindGroup'],
      ['GPUCommandEncoder', 'GPUCommandBuffer'],
    ] as const) {
      const memory = limited(100);
      let whole: object | undefined = {};
      await inOwnJob(() => {
        const holder = memory.allocate(request(90));
        const self = kind === 'GPUTexture' ? holder : {};
        const made_ = entry(made, whole as object);
        if (kind === 'GPUCommandEncoder') memory.keepParts(entry(kind, self), [holder], undefined);
        memory.keepParts(entry(kind, self), kind === 'GPUDevice' ? [holder] : [], made_);
        memory.released(holder);
      });
      expect(() => memory.allocate(request(90)), made).toThrow(RangeError);
      expect(whole).toBeDefined();
      // Only another release makes it collect again.
      whole = undefined;
      await inOwnJob(() => memory.released(memory.allocate(request(1))));
      expect(memory.allocate(request(90)), made).toBeDefined();
    }
  });

  it('comes back after the commands that used it are submitted', async () => {
    const memory = limited(100);
    const commands = {};
    await inOwnJob(() => {
      const holder = memory.allocate(request(90));
      const encoder = entry('GPUCommandEncoder', {});
      memory.keepParts(encoder, [holder], undefined);
      memory.keepParts(encoder, [], entry('GPUCommandBuffer', commands));
      memory.keepParts(entry('GPUQueue', {}), [commands], undefined);
      memory.released(holder);
    });
    expect(memory.allocate(request(90))).toBeDefined();
  });

  it('makes garbage be collected only where something was released since the last time', async () => {
    let collections = 0;
    const collect = () => {
      collections += 1;
    };
    const memory = limited(100, { collect });
    const holder = memory.allocate(request(90));
    for (let i = 0; i < 3; i += 1) expect(() => memory.allocate(request(20))).toThrow();
    expect(collections).toBe(0);
    memory.released(holder);
    for (let i = 0; i < 3; i += 1) expect(() => memory.allocate(request(20))).toThrow();
    expect(collections).toBe(1);
  });

  it('is asked of the host where the grant is too small, and made when the host grants it', async () => {
    const asked: object[] = [];
    const memory = limited(100, { ask: (report) => asked.push(report) });
    memory.allocate(request(60));
    expect(memory.fits(50)).toBe(false);
    const more = memory.more(50);
    expect(asked).toEqual([{ type: 'wantMemory', bytes: 110 }]);
    memory.granted({ bytes: 200, limit: 1000, others: 0 });
    await more;
    expect(memory.allocate(request(50))).toBeDefined();
    expect(asked).toHaveLength(1);
  });

  it('is asked for again where something was collected since the refusal', async () => {
    const asked: object[] = [];
    const memory = limited(100, { ask: (report) => asked.push(report) });
    await inOwnJob(() => memory.released(memory.allocate(request(90))));
    const more = memory.more(150);
    memory.granted({ bytes: 100, limit: 200, others: 90 });
    await turn();
    expect(asked).toEqual([
      { type: 'wantMemory', bytes: 240 },
      { type: 'wantMemory', bytes: 150 },
    ]);
    memory.granted({ bytes: 150, limit: 200, others: 0 });
    await more;
    expect(memory.fits(150)).toBe(true);
  });

  it('is counted without a limit until the program destroys or releases an object', () => {
    const memory = new GpuMemory();
    const [first, second] = [memory.allocate(request(100)), memory.allocate(request(20, {}))];
    memory.allocate(request(3));
    expect(memory.ledger.used).toBe(123);
    memory.destroyed(first);
    memory.destroyed(first);
    memory.released(first);
    memory.released(second);
    memory.destroyed({});
    expect(memory.ledger.used).toBe(3);
  });

  it('is reserved at once where the grant has room, and otherwise asked for', async () => {
    const asked: object[] = [];
    const memory = limited(100, { ask: (report) => asked.push(report) });
    memory.allocate(request(30));
    expect(memory.canReserve(70)).toBe(true);
    expect(await memory.reserve(70)).toBe(true);
    expect(asked).toEqual([]);
    const more = memory.reserve(50);
    expect(asked).toEqual([{ type: 'wantMemory', bytes: 150 }]);
    memory.granted({ bytes: 100, limit: 120, others: 0 });
    expect(await more).toBe(false);
    expect(memory.ledger.reserved).toBe(70);
  });

  it('reserved memory stays when the host wants back what is not used', async () => {
    const asked: object[] = [];
    const memory = limited(100, { ask: (report) => asked.push(report) });
    memory.allocate(request(10));
    await memory.reserve(50);
    memory.giveBack();
    expect(asked).toEqual([{ type: 'keepMemory', bytes: 60 }]);
    expect(memory.allocate(request(50))).toBeDefined();
    expect(memory.fits(1)).toBe(false);
  });

  it('goes back to the host where it is not used, and a later refusal has the numbers of the host', () => {
    const asked: object[] = [];
    const memory = limited(100, { ask: (report) => asked.push(report) });
    memory.allocate(request(60));
    memory.giveBack();
    expect(asked).toEqual([{ type: 'keepMemory', bytes: 60 }]);
    expect(memory.fits(1)).toBe(false);
    memory.granted({ bytes: 60, limit: 500, others: 420 });
    expect(() => memory.allocate(request(50))).toThrow(/50 bytes .* 500 bytes .* 480 are in use/);
  });
});
