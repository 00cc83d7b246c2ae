import { expect, it } from 'vitest';
import { GarbageMeter } from '#farlight/server/executor/limits/garbage.js';
import { turn } from '../support/clients/scripted-transport.js';

const buffer = (size: number) => ({ size }) as GPUBuffer;

it('garbage is collected when enough GPU memory was released, and then counted from zero', () => {
  let collections = 0;
  const meter = new GarbageMeter(() => {
    collections += 1;
  }, 100);
  const after = [60, 39, 1, 99, 1].map((bytes) => {
    meter.released(buffer(bytes));
    return collections;
  });
  expect(after).toEqual([0, 0, 1, 1, 2]);
});

it('released textures count by their texels', () => {
  let collections = 0;
  const meter = new GarbageMeter(() => {
    collections += 1;
  }, 100);
  meter.released({ width: 4, height: 3, depthOrArrayLayers: 2, sampleCount: 1 } as GPUTexture);
  expect(collections).toBe(0);
  meter.released({ width: 1, height: 1, depthOrArrayLayers: 1, sampleCount: 4 } as GPUTexture);
  expect(collections).toBe(1);
});

it('destroyed buffers and textures do not count as garbage', () => {
  let collections = 0;
  const meter = new GarbageMeter(() => {
    collections += 1;
  }, 100);
  const destroyed = buffer(1000);
  meter.destroyed(destroyed);
  meter.released(destroyed);
  expect(collections).toBe(0);
});

it('by default V8 collects unreachable objects', async () => {
  const meter = new GarbageMeter();
  const dropped = new WeakRef({});
  // A WeakRef keeps its object until the job that made it has ended.
  await turn();
  meter.released(buffer(2 ** 40));
  await turn();
  await turn();
  expect(dropped.deref()).toBeUndefined();
});
