import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { openGpuLane } from '#farlight/infer/lanes/gpu/gpu-lane.js';
import type { KeptValue, Lane, LaneInput, LaneMemory, LaneRun } from '#farlight/infer/lanes/lane.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { Daemon } from '#farlight/server/daemon.js';
import { seeded } from '../../support/random/seeded.js';
import { network, put, simple, unary } from './models.js';
import '../../support/programs/liftoff.js';

const MIB = 2 ** 20;

let folder: string;
let daemon: Daemon;
let lane: Lane;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-lanes-'));
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    adapter: 'software',
    tenantLimits: { gpuMemory: 8 * MIB },
  });
  lane = await openGpuLane({ name: 'a', host: daemon.url });
  await lane.load({ id: 'simple', file: put(folder, 'simple', simple()) });
  await lane.load({ id: 'network', file: put(folder, 'network', network()) });
}, 180_000);
afterAll(async () => {
  await lane.close();
  await daemon.close();
  rmSync(folder, { recursive: true });
});

const all = (value: Tensor | KeptValue): LaneInput => ({ value, from: 0, count: value.shape[0] ?? 1 });
const bytes = (data: ArrayBufferView) =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();

function int32(name: string, rows: number, first: number): Tensor {
  const data = bytes(Int32Array.from({ length: rows * 16 }, (_, index) => first + index));
  return { name, datatype: 'INT32', shape: [rows, 16], data };
}

function image(items: number, seed: number, size = 8): Tensor {
  const random = seeded(seed);
  const data = bytes(Float32Array.from({ length: items * 3 * size * size }, random));
  return { name: 'image', datatype: 'FP32', shape: [items, 3, size, size], data };
}

const runSimple = (
  inputs: LaneRun['inputs'],
  parts: number[],
  keep: string[] = [],
  fetch = ['OUTPUT0', 'OUTPUT1'],
) => lane.run({ model: 'simple', inputs, parts, keep, fetch });

function numbers(value: Tensor | KeptValue | undefined): number[] {
  const { data } = value as Tensor & { data: Uint8Array };
  return [...new Int32Array(data.buffer, data.byteOffset, data.byteLength / 4)];
}

describe('a lane with ONNX Runtime', () => {
  it('a loaded model tells its inputs, its outputs, and the memory of its weights', async () => {
    const { inputs, outputs, weights } = await lane.load({
      id: 'again',
      file: put(folder, 'again', network(64)),
    });
    expect(inputs).toEqual([{ name: 'image', datatype: 'FP32', shape: [-1, 3, -1, -1] }]);
    expect(outputs).toEqual([
      { name: 'features', datatype: 'FP32', shape: [-1, 64, -1, -1] },
      { name: 'mean', datatype: 'FP32', shape: [-1, 64, 1, 1] },
    ]);
    expect(weights).toBeGreaterThanOrEqual(64 * 27 * 4);
    expect(weights).toBeLessThan(2 * 64 * 27 * 4);
    await lane.unload('again');
    await expect(
      lane.run({
        model: 'again',
        inputs: { image: [all(image(1, 1))] },
        parts: [1],
        keep: [],
        fetch: ['mean'],
      }),
    ).rejects.toThrow('Model "again" is not loaded on this lane.');
  });

  it('joins parts into a batch, and splits its outputs into parts', async () => {
    const [a, b] = [int32('INPUT0', 3, 0), int32('INPUT1', 3, 1000)];
    const { outputs } = await runSimple(
      {
        INPUT0: [
          { value: a, from: 1, count: 2 },
          { value: a, from: 0, count: 1 },
        ],
        INPUT1: [all(b)],
      },
      [1, 2],
    );
    const rows = (from: number) => Array.from({ length: 16 }, (_, index) => from + index);
    expect(outputs.OUTPUT0?.map(({ shape }) => shape)).toEqual([
      [1, 16],
      [2, 16],
    ]);
    expect(numbers(outputs.OUTPUT0?.[0])).toEqual(rows(0).map((at) => at + 16 + (1000 + at)));
    expect(numbers(outputs.OUTPUT1?.[1])).toEqual([
      ...rows(0).map(() => 32 - 1016),
      ...rows(0).map(() => 0 - 1032),
    ]);
    // The tensors are still those of the caller.
    expect(numbers(a)[0]).toBe(0);
  });

  it("each run tells how long the host's GPU worked for it", async () => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const report = await lane.run({
        model: 'network',
        inputs: { image: [all(image(1, seed))] },
        parts: [1],
        keep: [],
        fetch: ['mean'],
      });
      const gpu = await report.gpu;
      expect(gpu?.ms).toBeGreaterThan(0);
      expect(gpu?.busyMs).toBe(gpu?.ms);
    }
  });

  it('each item of a batch has the same bits as the item alone', async () => {
    const items = [1, 2, 3, 4, 5].map((seed) => image(1, seed));
    const run = (images: Tensor[]) =>
      lane.run({
        model: 'network',
        inputs: { image: images.map(all) },
        parts: images.map(() => 1),
        keep: [],
        fetch: ['features', 'mean'],
      });
    const { outputs: together } = await run(items);
    for (const [index, item] of items.entries()) {
      const { outputs: alone } = await run([item]);
      for (const name of ['features', 'mean'])
        expect(together[name]?.[index], `${name} of item ${index}`).toEqual(alone[name]?.[0]);
    }
  });

  it('keeps values on the GPU from one model to the next, joins them with tensors, and brings them back', async () => {
    const { outputs } = await runSimple(
      { INPUT0: [all(int32('INPUT0', 3, 0))], INPUT1: [all(int32('INPUT1', 3, 0))] },
      [2, 1],
      ['OUTPUT0'],
      ['OUTPUT1'],
    );
    const [two, one] = outputs.OUTPUT0 as KeptValue[];
    expect(two).toMatchObject({ lane: 'a', name: 'OUTPUT0', shape: [2, 16] });
    expect(numbers(outputs.OUTPUT1?.[1])).toEqual(Array(16).fill(0));
    const next = await runSimple(
      {
        INPUT0: [
          all(one as KeptValue),
          { value: two as KeptValue, from: 1, count: 1 },
          all(int32('x', 1, 5)),
        ],
        INPUT1: [all(int32('INPUT1', 3, 0))],
      },
      [1, 1, 1],
    );
    const rows = (from: number, times: number) => Array.from({ length: 16 }, (_, at) => times * (from + at));
    expect(next.outputs.OUTPUT1?.map(numbers)).toEqual([
      rows(32, 2).map((each, at) => each - at),
      rows(16, 2).map((each, at) => each - (16 + at)),
      rows(5, 1).map((each, at) => each - (32 + at)),
    ]);
    const [back] = await lane.fetch([two as KeptValue]);
    expect(back).toMatchObject({ name: 'OUTPUT0', datatype: 'INT32', shape: [2, 16] });
    expect(numbers(back)).toEqual([...rows(0, 2), ...rows(16, 2)]);
    lane.drop([one as KeptValue, two as KeptValue]);
    lane.drop([one as KeptValue]);
    await expect(lane.fetch([one as KeptValue])).rejects.toThrow('Value 2 ("OUTPUT0") is not on lane a.');
  });

  it('keeps a value after the model that made it was unloaded', async () => {
    const file = put(folder, 'short', simple());
    await lane.load({ id: 'short', file });
    const inputs = { INPUT0: [all(int32('INPUT0', 2, 0))], INPUT1: [all(int32('INPUT1', 2, 0))] };
    const { outputs } = await lane.run({ model: 'short', inputs, parts: [2], keep: ['OUTPUT0'], fetch: [] });
    await lane.unload('short');
    const [back] = await lane.fetch(outputs.OUTPUT0 as KeptValue[]);
    expect(numbers(back)).toEqual(Array.from({ length: 32 }, (_, at) => 2 * at));
    lane.drop(outputs.OUTPUT0 as KeptValue[]);
  });

  it('the reported peak grows by the item, and does not depend on earlier runs', async () => {
    const peak = async (items: number) => {
      const inputs = { image: [all(image(items, 1, 32))] };
      return (await lane.run({ model: 'network', inputs, parts: [items], keep: [], fetch: ['mean'] })).peak;
    };
    await peak(8);
    const [two, four, six] = [await peak(2), await peak(4), await peak(6)];
    expect(two).toBeGreaterThanOrEqual(2 * (3 + 8) * 32 * 32 * 4);
    expect(six - four).toBe(four - two);
    // Whatever ran before.
    expect(await peak(2)).toBe(two);
  });

  it.each([
    ['FP32', bytes(Float32Array.of(0.5, -2, 3))],
    ['FP16', bytes(Uint16Array.of(0x3c00, 0xc000, 0x0001))],
    ['FP64', bytes(Float64Array.of(0.1, -2, 1e300))],
    ['INT8', bytes(Int8Array.of(-128, 0, 127))],
    ['INT32', bytes(Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1))],
    ['INT64', bytes(BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 40n))],
    ['UINT8', Uint8Array.of(0, 1, 255)],
    ['BOOL', Uint8Array.of(0, 1, 1)],
    ['BYTES', ['', 'a', 'größer'].map((text) => bytes(new TextEncoder().encode(text)))],
  ] as const)('takes, keeps and gives tensors of %s', async (datatype, data) => {
    const file = put(folder, `identity-${datatype}`, unary('Identity', datatype, ['batch']));
    const { inputs } = await lane.load({ id: datatype, file });
    expect(inputs).toEqual([{ name: 'x', datatype, shape: [-1] }]);
    const x: Tensor = { name: 'x', datatype, shape: [3], data };
    const rest = (value: Tensor, name: string) => ({ ...value, name });
    const { outputs } = await lane.run({
      model: datatype,
      inputs: { x: [all(x)] },
      parts: [2, 1],
      keep: [],
      fetch: ['y'],
    });
    expect(outputs.y).toEqual([
      { name: 'y', datatype, shape: [2], data: slice(data, 0, 2) },
      { name: 'y', datatype, shape: [1], data: slice(data, 2, 3) },
    ]);
    const kept = await lane.run({
      model: datatype,
      inputs: { x: [all(x)] },
      parts: [1, 2],
      keep: ['y'],
      fetch: [],
    });
    const [first, second] = kept.outputs.y as KeptValue[];
    const parts = [all(second as KeptValue), all(first as KeptValue)];
    const joined = await lane.run({
      model: datatype,
      inputs: { x: parts },
      parts: [2, 1],
      keep: [],
      fetch: ['y'],
    });
    expect(joined.outputs.y?.[0]).toEqual(rest({ ...x, shape: [2], data: slice(data, 1, 3) }, 'y'));
    expect(joined.outputs.y?.[1]).toEqual(rest({ ...x, shape: [1], data: slice(data, 0, 1) }, 'y'));
    lane.drop([first, second] as KeptValue[]);
    await lane.unload(datatype);
  });

  it.each([
    [{ min: -1, max: 6 }, [-1, -1, 0.5, 6, 6]],
    [{ min: 0 }, [0, 0, 0.5, 6, 7]],
    [{ max: 0 }, [-7, -1, 0, 0, 0]],
    [{}, [-7, -1, 0.5, 6, 7]],
  ])('Clip works as in opset 9, with the bounds %j', async (attributes, clipped) => {
    const file = put(folder, 'clip', unary('Clip', 'FP32', ['batch'], { attributes, opset: 9 }));
    await lane.load({ id: 'clip', file });
    const data = bytes(Float32Array.of(-7, -1, 0.5, 6, 7));
    const x: Tensor = { name: 'x', datatype: 'FP32', shape: [5], data };
    const { outputs } = await lane.run({
      model: 'clip',
      inputs: { x: [all(x)] },
      parts: [5],
      keep: [],
      fetch: ['y'],
    });
    expect(outputs.y).toEqual([{ ...x, name: 'y', data: bytes(Float32Array.from(clipped)) }]);
    await lane.unload('clip');
  });

  it('a run without enough memory says so, and smaller runs go on', async () => {
    const run = (items: number) => {
      const inputs = { image: [all(image(items, 1, 64))] };
      return lane.run({ model: 'network', inputs, parts: [items], keep: [], fetch: ['mean'] });
    };
    const alone = await run(1);
    const error = await run(64).catch((reason) => reason);
    expect(error).toMatchObject({ name: 'RunError', memory: true });
    expect(error.message).toMatch(/^The GPU has not enough memory: .*8388608/);
    expect((await run(1)).outputs).toEqual(alone.outputs);
  });

  it('knows the memory of its host, as the host counts it', async () => {
    const told = new Promise<number>((resolve) => {
      const memory = lane.memory as LaneMemory;
      memory.onChange = () => {
        if (memory.state.used > 0 && memory.state.reserved === 0) resolve(memory.state.peak);
      };
    });
    expect(lane.memory?.state.limit).toBe(8 * MIB);
    const inputs = { image: [all(image(4, 1, 32))] };
    const { peak } = await lane.run({
      model: 'network',
      inputs,
      parts: [4],
      keep: [],
      fetch: ['mean'],
      reserve: MIB,
    });
    expect(peak).toBeGreaterThanOrEqual(4 * (3 + 8) * 32 * 32 * 4);
    expect(await told).toBeLessThan(8 * MIB);
  });

  it('a run whose memory others have fails as taken', async () => {
    const gpu = create({ host: daemon.url });
    const other = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
    const held = other.createBuffer({ size: 6 * MIB, usage: 8 });
    await other.queue.onSubmittedWorkDone();
    const run = (reserve: number) =>
      lane.run({
        model: 'network',
        inputs: { image: [all(image(16, 1, 64))] },
        parts: [16],
        keep: [],
        fetch: ['mean'],
        reserve,
      });
    await expect(run(4 * MIB)).rejects.toMatchObject({ memory: true, taken: true });
    await expect(run(0)).rejects.toMatchObject({ memory: true, taken: false });
    held.destroy();
    await other.queue.onSubmittedWorkDone();
    await run(4 * MIB);
    close(gpu);
  });

  it('a run with a wrong input fails alone, and no later run gets its inputs', async () => {
    const wrong: Tensor = { ...int32('INPUT1', 2, 0), shape: [4, 8] };
    const good = { INPUT0: [all(int32('INPUT0', 2, 0))], INPUT1: [all(int32('INPUT1', 2, 7))] };
    await expect(runSimple({ ...good, INPUT1: [all(wrong)] }, [2])).rejects.toThrow(
      /^The model failed: Got invalid dimensions for input: INPUT1 .*/,
    );
    expect(numbers((await runSimple(good, [2])).outputs.OUTPUT1?.[0])).toEqual(Array(32).fill(-7));
    await expect(runSimple(good, [1, 2])).rejects.toThrow(
      'Output "OUTPUT0" has the shape [2,16] for 3 items: they cannot be told apart.',
    );
  });

  it('a model whose file is gone after a run that failed fails its next run as away', async () => {
    const file = put(folder, 'removed', simple());
    await lane.load({ id: 'removed', file });
    const run = (INPUT1: Tensor) => {
      const inputs = { INPUT0: [all(int32('INPUT0', 2, 0))], INPUT1: [all(INPUT1)] };
      return lane.run({ model: 'removed', inputs, parts: [2], keep: [], fetch: ['OUTPUT0'] });
    };
    const right = int32('INPUT1', 2, 7);
    await expect(run({ ...right, shape: [4, 8] })).rejects.toMatchObject({ away: false });
    rmSync(file);
    await expect(run(right)).rejects.toMatchObject({
      away: true,
      message: expect.stringMatching(/removed\.onnx cannot be read: ENOENT/),
    });
    await lane.unload('removed');
  });

  it('reads weights that are in a file beside the model, and none from elsewhere', async () => {
    const model = network(4);
    const run = async (file: string) => {
      await lane.load({ id: 'weights', file });
      const inputs = { image: [all(image(1, 1))] };
      const { outputs } = await lane.run({ model: 'weights', inputs, parts: [1], keep: [], fetch: ['mean'] });
      await lane.unload('weights');
      return outputs;
    };
    writeFileSync(join(folder, 'w.data'), bytes(model.weights?.weights?.values as Float32Array));
    const inside = await run(put(folder, 'inside', model));
    expect(await run(put(folder, 'outside', model, 'w.data'))).toEqual(inside);
    await expect(run(put(folder, 'far', model, '../w.data'))).rejects.toThrow(
      'far.onnx cannot be read: its weights are in "../w.data", which is not in its folder.',
    );
    await expect(run(put(folder, 'gone', model, 'none.data'))).rejects.toThrow(
      /gone\.onnx cannot be read: ENOENT/,
    );
  });

  it('files that were changed are not loaded by a lane that is told what they were', async () => {
    writeFileSync(join(folder, 'v.data'), bytes(network(4).weights?.weights?.values as Float32Array));
    const file = put(folder, 'changed', network(4), 'v.data');
    const { version } = await lane.load({ id: 'changed', file });
    await lane.unload('changed');
    expect(await lane.load({ id: 'changed', file, version })).toMatchObject({ version });
    await lane.unload('changed');
    writeFileSync(join(folder, 'v.data'), new Uint8Array(7));
    await expect(lane.load({ id: 'changed', file, version })).rejects.toMatchObject({
      away: true,
      message: expect.stringMatching(/v\.data has changed since it was loaded: load it again, or put/),
    });
  });

  it('a broken file is refused with the reason', async () => {
    const load = (file: string) => lane.load({ id: 'x', file });
    await expect(load(join(folder, 'none.onnx'))).rejects.toThrow(/none\.onnx cannot be read: ENOENT/);
    const file = put(folder, 'broken', { ...simple(), nodes: [] });
    await expect(load(file)).rejects.toThrow(/broken\.onnx cannot be loaded: .*/);
  });
});

function slice<T extends Uint8Array | readonly Uint8Array[]>(data: T, from: number, to: number): T {
  const size = data instanceof Uint8Array ? data.length / 3 : 1;
  return data.slice(from * size, to * size) as T;
}
