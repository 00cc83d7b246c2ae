import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { bytesOf, COPY_SRC, QUERY_RESOLVE, thrown } from './support.js';

const features: GPUFeatureName[] = ['timestamp-query'];
const destination = (device: GPUDevice, size = 64) =>
  device.createBuffer({ size, usage: QUERY_RESOLVE | COPY_SRC });

async function bigints(device: GPUDevice, buffer: GPUBuffer): Promise<bigint[]> {
  return [...new BigUint64Array((await bytesOf(device, buffer)).buffer)];
}

describe('GPUQuerySet', () => {
  parity('a query set tells its type and count', async ({ device, globals, valid }) => {
    const set = await valid(() => device.createQuerySet({ type: 'occlusion', count: 3, label: 'seen' }));
    expect(set).toBeInstanceOf(globals.GPUQuerySet);
    expect([set.type, set.count, set.label]).toEqual(['occlusion', 3, 'seen']);
    await valid(() => set.destroy());
    await valid(() => set.destroy());
    expect([set.type, set.count, set.label]).toEqual(['occlusion', 3, 'seen']);
  });

  parity('more queries than 4096 are a validation error', async ({ device, valid, invalid }) => {
    await valid(() => device.createQuerySet({ type: 'occlusion', count: 4096 }));
    await invalid(() => device.createQuerySet({ type: 'occlusion', count: 4097 }));
  });

  parity('timestamps without the feature throw a TypeError', async ({ device, valid }) => {
    await valid(() => {
      expect(thrown(() => device.createQuerySet({ type: 'timestamp', count: 1 }))).toBeInstanceOf(TypeError);
    });
  });

  parity('an unknown type and missing members throw a TypeError', ({ device }) => {
    const make = (descriptor: unknown) => () => device.createQuerySet(descriptor as never);
    expect(thrown(make({ type: 'pipeline-statistics', count: 1 }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ type: 'occlusion' }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ count: 1 }))).toBeInstanceOf(TypeError);
  });

  parity('unwritten queries resolve to zero', async ({ device }) => {
    const set = device.createQuerySet({ type: 'occlusion', count: 4 });
    const out = destination(device, 32);
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(set, 0, 4, out, 0);
    device.queue.submit([encoder.finish()]);
    expect(await bigints(device, out)).toEqual([0n, 0n, 0n, 0n]);
  });

  parity('the arguments of resolveQuerySet are checked', async ({ device, invalid }) => {
    const set = device.createQuerySet({ type: 'occlusion', count: 4, label: 'four' });
    const plain = device.createBuffer({ size: 64, usage: COPY_SRC, label: 'plain' });
    const wrong: [first: number, count: number, buffer: GPUBuffer, offset: number][] = [
      [4, 1, destination(device), 0],
      [2, 3, destination(device), 0],
      [0, 4, destination(device, 24), 0],
      [0, 1, destination(device, 512), 8],
      [0, 1, plain, 0],
    ];
    for (const [first, count, buffer, offset] of wrong) {
      const encoder = device.createCommandEncoder();
      encoder.resolveQuerySet(set, first, count, buffer, offset);
      await invalid(() => encoder.finish());
    }
  });

  parity('a destroyed set makes the submit fail', async ({ device, invalid }) => {
    const set = device.createQuerySet({ type: 'occlusion', count: 1, label: 'gone' });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(set, 0, 1, destination(device), 0);
    const commands = encoder.finish();
    set.destroy();
    await invalid(() => device.queue.submit([commands]));
  });

  parity("another device's set is a validation error", async ({ device, newDevice, invalid }) => {
    const foreign = (await newDevice()).createQuerySet({ type: 'occlusion', count: 1 });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(foreign, 0, 1, destination(device), 0);
    await invalid(() => encoder.finish());
  });
});

describe('timestamps of a compute pass', () => {
  parity(
    'a compute pass writes timestamps at its beginning and end, in this order',
    async ({ device, valid }) => {
      const querySet = device.createQuerySet({ type: 'timestamp', count: 3 });
      const out = destination(device, 24);
      await valid(() => {
        const encoder = device.createCommandEncoder();
        const timestampWrites = { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 2 };
        encoder.beginComputePass({ timestampWrites }).end();
        encoder.resolveQuerySet(querySet, 0, 3, out, 0);
        device.queue.submit([encoder.finish()]);
      });
      const [begin = 0n, unwritten, end = 0n] = await bigints(device, out);
      expect(unwritten).toBe(0n);
      expect(begin).toBeGreaterThan(0n);
      expect(end).toBeGreaterThanOrEqual(begin);
    },
    { features },
  );

  parity(
    'either timestamp may be left out, but not both',
    async ({ device, valid, invalid }) => {
      const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
      const encode = (indices: Partial<GPUComputePassTimestampWrites>) => () => {
        const encoder = device.createCommandEncoder();
        encoder.beginComputePass({ timestampWrites: { querySet, ...indices } }).end();
        encoder.finish();
      };
      await valid(encode({ beginningOfPassWriteIndex: 0 }));
      await valid(encode({ endOfPassWriteIndex: 1 }));
      await invalid(encode({}));
      await invalid(encode({ beginningOfPassWriteIndex: 1, endOfPassWriteIndex: 1 }));
      await invalid(encode({ beginningOfPassWriteIndex: 2 }));
    },
    { features },
  );

  parity('a timestamp in a set of another type is a validation error', async ({ device, invalid }) => {
    const querySet = device.createQuerySet({ type: 'occlusion', count: 2 });
    const encoder = device.createCommandEncoder();
    encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: 0 } }).end();
    await invalid(() => encoder.finish());
  });

  parity('the set of timestamps is required', ({ device }) => {
    const encoder = device.createCommandEncoder();
    const timestampWrites = { beginningOfPassWriteIndex: 0 } as never;
    expect(thrown(() => encoder.beginComputePass({ timestampWrites }))).toBeInstanceOf(TypeError);
  });
});
