import { describe, expect, it } from 'vitest';
import { SharedObjects } from '#farlight/server/executor/reuse/shared-objects.js';

/** Makes an object of `parts` as a session does. */
function make(shared: SharedObjects, content: string, parts: object[]): object {
  const key = shared.key(content, parts);
  const kept = shared.take(key);
  if (kept) return kept;
  const object = { content };
  if (shared.isWorthKeeping(key)) shared.keep(key, object, parts);
  return object;
}

const device = { name: 'device' };
const recipe = { shape: new Uint8Array(1), payloads: [] };
const newTable = () => new SharedObjects(device);

describe('a repeated create', () => {
  it('gets the object that is there', () => {
    const shared = newTable();
    const [first, second] = [1, 2].map(() => make(shared, 'GPUSampler:', [device]));
    expect(second).toBe(first);
  });

  it('an object of resources is shared from its third create on, because most are made once', () => {
    const shared = newTable();
    const [first, second, third, fourth] = [1, 2, 3, 4].map(() => make(shared, 'GPUBindGroup:', [device]));
    expect(first).not.toBe(second);
    expect(third).toBe(second);
    expect(fourth).toBe(second);
  });

  it('gets another object where any part differs', () => {
    const shared = newTable();
    const [a, b] = [{}, {}];
    for (let count = 0; count < 3; count += 1) make(shared, 'GPUBindGroup:', [device, a]);
    expect(shared.take(shared.key('GPUBindGroup:', [device, b]))).toBeUndefined();
    expect(shared.take(shared.key('GPUBindGroup:', [{}, a]))).toBeUndefined();
    expect(shared.take(shared.key('other', [device, a]))).toBeUndefined();
    expect(shared.take(shared.key('GPUBindGroup:', [device, a]))).toBeDefined();
  });

  it('makes its own object where the last one was invalid', () => {
    const shared = newTable();
    const key = shared.key('invalid', [device]);
    for (let count = 0; count < 5; count += 1) {
      expect(shared.take(key)).toBeUndefined();
      shared.isWorthKeeping(key);
    }
  });
});

describe('a kept object', () => {
  it('goes with the last handle of a part of it', () => {
    const shared = newTable();
    const buffer = {};
    for (let count = 0; count < 2; count += 1) make(shared, 'GPUBindGroup:', [device, buffer]);
    shared.released(buffer);
    expect(shared.take(shared.key('GPUBindGroup:', [device, buffer]))).toBeUndefined();
  });

  it('stays while its part has another handle', () => {
    const shared = newTable();
    const layouts = [1, 2, 3, 4].map(() => make(shared, 'GPUBindGroupLayout:', [device]));
    const layout = layouts[3] as object;
    for (let count = 0; count < 2; count += 1) make(shared, 'GPUBindGroup:', [layout]);
    shared.released(layout);
    expect(shared.take(shared.key('GPUBindGroup:', [layout]))).toBeDefined();
  });

  it('takes the objects with it that are made of it', () => {
    const shared = newTable();
    const texture = {};
    const [first, view] = [1, 2].map(() => make(shared, 'GPUTextureView:', [texture]));
    for (let count = 0; count < 2; count += 1) make(shared, 'GPUBindGroup:', [view as object]);
    shared.released(first as object);
    shared.released(view as object);
    expect(shared.take(shared.key('GPUBindGroup:', [view as object]))).toBeDefined();
    shared.released(texture);
    expect(shared.take(shared.key('GPUTextureView:', [texture]))).toBeUndefined();
    expect(shared.take(shared.key('GPUBindGroup:', [view as object]))).toBeUndefined();
  });

  it('is not kept where a part went while it was checked', () => {
    const shared = newTable();
    const buffer = {};
    const key = shared.key('GPUBindGroup:', [buffer]);
    shared.isWorthKeeping(key);
    shared.released(buffer);
    shared.keep(key, {}, [buffer]);
    expect(shared.take(key)).toBeUndefined();
  });

  it('goes when there are too many, the least recently used first', () => {
    const shared = newTable();
    const held = make(shared, 'held', [device]);
    const other = make(shared, 'other', [device]);
    for (let count = 0; count < 20_000; count += 1) {
      make(shared, `content ${count}`, [device]);
      if (count % 1000 === 0) expect(make(shared, 'held', [device])).toBe(held);
    }
    expect(make(shared, 'other', [device])).not.toBe(other);
  });

  it('is given to no further handle once it was withdrawn', () => {
    const shared = newTable();
    const kept = [1, 2].map(() => make(shared, 'GPUSampler:', [device]))[1] as object;
    shared.withdraw(kept);
    expect(make(shared, 'GPUSampler:', [device])).not.toBe(kept);
  });
});

describe('an object that is being made', () => {
  const key = 'GPUComputePipeline:auto';

  it('is given to one waiting create where it is exclusive, and the next create gets the equal one', async () => {
    const shared = newTable();
    const [first, second] = [Promise.resolve({}), Promise.resolve({})];
    shared.expect(key, first);
    shared.expect(key, second);
    expect(shared.expected(key, true)).toBe(first);
    expect(shared.expected(key, true)).toBe(second);
    expect(shared.expected(key, true)).toBeUndefined();
  });

  it('is given to all waiting creates where it is shared, until it is made', async () => {
    const shared = newTable();
    const promise = Promise.resolve({});
    shared.expect(key, promise);
    expect(shared.expected(key, false)).toBe(promise);
    expect(shared.expected(key, false)).toBe(promise);
    await promise;
    expect(shared.expected(key, false)).toBeUndefined();
  });
});

describe('after a session', () => {
  it('objects made of content stay for the next session, and those made of resources do not', () => {
    const shared = newTable();
    const module = make(shared, 'GPUShaderModule:code', [device]);
    const pipeline = make(shared, 'GPUComputePipeline:main', [device, module]);
    const texture = {};
    const views = [1, 2, 3].map(() => make(shared, 'GPUTextureView:', [texture]));
    shared.endSession();
    expect(make(shared, 'GPUShaderModule:code', [device])).toBe(module);
    expect(make(shared, 'GPUComputePipeline:main', [device, module])).toBe(pipeline);
    expect(make(shared, 'GPUTextureView:', [texture])).not.toBe(views[2]);
    shared.released(module);
    shared.released(pipeline);
    shared.endSession();
    expect(make(shared, 'GPUComputePipeline:main', [device, module])).toBe(pipeline);
  });

  it('a pipeline with its own layouts has one owner at a time', () => {
    const shared = newTable();
    const key = shared.key('GPUComputePipeline:auto', [device]);
    const pipeline = {};
    shared.lend(key, pipeline, [device], undefined);
    expect(shared.take(key)).toBeUndefined();
    shared.endSession();
    const layout = make(shared, 'GPUBindGroupLayout:0', [pipeline]);
    expect(shared.take(key)).toBe(pipeline);
    expect(shared.take(key)).toBeUndefined();
    shared.endSession();
    expect(shared.take(key)).toBe(pipeline);
    expect(layout).toBeDefined();
  });

  it('there are as many equal pipelines with their own layouts as the session had', () => {
    const shared = newTable();
    const key = shared.key('GPUComputePipeline:auto', [device]);
    const pipelines = [{}, {}, {}];
    for (const pipeline of pipelines) shared.lend(key, pipeline, [device], recipe);
    expect(shared.count(key)).toBe(3);
    expect(shared.profile()).toHaveLength(3);
    for (let session = 0; session < 2; session += 1) {
      shared.endSession();
      expect(shared.count(key)).toBe(3);
      expect(new Set([1, 2, 3].map(() => shared.take(key)))).toEqual(new Set(pipelines));
      expect(shared.take(key)).toBeUndefined();
    }
    shared.withdraw(pipelines[1] as object);
    shared.endSession();
    expect(new Set([1, 2].map(() => shared.take(key)))).toEqual(new Set([pipelines[0], pipelines[2]]));
    expect(shared.take(key)).toBeUndefined();
  });

  it('an object goes whose part did not stay', () => {
    const shared = newTable();
    const unknown = {};
    const layout = make(shared, 'GPUPipelineLayout:', [device, unknown]);
    make(shared, 'GPUComputePipeline:', [device, layout]);
    shared.endSession();
    expect(shared.take(shared.key('GPUPipelineLayout:', [device, unknown]))).toBeUndefined();
    expect(shared.take(shared.key('GPUComputePipeline:', [device, layout]))).toBeUndefined();
  });
});
