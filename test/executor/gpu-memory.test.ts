import { describe, expect, it } from 'vitest';
import { GpuMemory } from '#farlight/server/executor/limits/gpu-memory.js';
import type { Entry } from '#farlight/server/executor/objects/object-table.js';
import { turn } from '../support/scripted-transport.js';

const request = (bytes: number, made: object = {}) => ({
  operation: 'GPUDevice.createBuffer',
  bytes,
  exceeds: () => false,
  make: () => made,
});

const entry = (kind: string, object: object): Entry => ({ id: 1, kind, device: undefined, object });

/** Runs `act` in a job of its own, so that what it made can be collected afterwards. */
async function inOwnJob(act: () => void): Promise<void> {
  act();
  await turn();
}

describe("a session's GPU memory", () => {
  it('is refused beyond the limit, with what is left, and nothing is made', () => {
    const memory = new GpuMemory(100);
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
      /createBuffer: 1 bytes .* 100 bytes .* 100 are in use; destroy.*--gpu-memory/,
    );
    expect(made).toBe(false);
    expect(memory.used).toBe(100);
  });

  it('is given back once by what is destroyed', () => {
    const memory = new GpuMemory(100);
    const holder = memory.allocate(request(60));
    memory.allocate(request(40));
    memory.destroyed(holder);
    memory.destroyed(holder);
    memory.released(holder);
    expect(memory.used).toBe(40);
  });

  it('is not taken by what could not be made', () => {
    const memory = new GpuMemory(100);
    const make = () => {
      throw new Error('refused');
    };
    expect(() => memory.allocate({ ...request(60), make })).toThrow('refused');
    expect(memory.used).toBe(0);
  });

  it('leaves it to the implementation to refuse what it refuses in any case', () => {
    const memory = new GpuMemory(100);
    const made = {};
    expect(memory.allocate({ ...request(1000, made), exceeds: () => true })).toBe(made);
    expect(memory.used).toBe(0);
  });

  it('is given back by what was released as soon as it is needed', async () => {
    const memory = new GpuMemory(100);
    await inOwnJob(() => memory.released(memory.allocate(request(90))));
    expect(memory.allocate(request(90))).toBeDefined();
    expect(memory.used).toBe(90);
  });

  it('is not given back by what a view, a bind group or commands still need', async () => {
    for (const [kind, made] of [
      ['GPUTexture', 'GPUTextureView'],
      ['GPUDevice', 'GPUBindGroup'],
      ['GPUCommandEncoder', 'GPUCommandBuffer'],
    ] as const) {
      const memory = new GpuMemory(100);
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
      // The next release is what makes it worth looking again.
      whole = undefined;
      await inOwnJob(() => memory.released(memory.allocate(request(1))));
      expect(memory.allocate(request(90)), made).toBeDefined();
    }
  });

  it('is given back by commands that were submitted', async () => {
    const memory = new GpuMemory(100);
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

  it('has garbage collected only when something was released since the last time', async () => {
    let collections = 0;
    const collect = () => {
      collections += 1;
    };
    const memory = new GpuMemory(100, { collect });
    const holder = memory.allocate(request(90));
    for (let i = 0; i < 3; i += 1) expect(() => memory.allocate(request(20))).toThrow();
    expect(collections).toBe(0);
    memory.released(holder);
    for (let i = 0; i < 3; i += 1) expect(() => memory.allocate(request(20))).toThrow();
    expect(collections).toBe(1);
  });

  it('is asked of the host where it has not granted enough, and had when it has', async () => {
    const asked: object[] = [];
    const memory = new GpuMemory(100, { ask: (report) => asked.push(report) });
    memory.allocate(request(60));
    expect(memory.fits(50)).toBe(false);
    const more = memory.more(50);
    expect(asked).toEqual([{ type: 'wantMemory', bytes: 110 }]);
    memory.granted({ bytes: 200, limit: 1000, others: 0 });
    await more;
    expect(memory.allocate(request(50))).toBeDefined();
    expect(asked).toHaveLength(1);
  });

  it('is asked for once more where something was collected since it was refused', async () => {
    const asked: object[] = [];
    const memory = new GpuMemory(100, { ask: (report) => asked.push(report) });
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

  it('goes back but for what is used when the host wants it, and is refused then with what the host has said', () => {
    const asked: object[] = [];
    const memory = new GpuMemory(100, { ask: (report) => asked.push(report) });
    memory.allocate(request(60));
    memory.giveBack();
    expect(asked).toEqual([{ type: 'keepMemory', bytes: 60 }]);
    expect(memory.fits(1)).toBe(false);
    memory.granted({ bytes: 60, limit: 500, others: 420 });
    expect(() => memory.allocate(request(50))).toThrow(/50 bytes .* 500 bytes .* 480 are in use/);
  });
});
