import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { GPUBufferUsage, GPUMapMode } from '#farlight/proto/gen/webgpu.js';

const { COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;

const gpu = create({ adapter: 'null' });
let device: GPUDevice;
beforeAll(async () => {
  device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
});
afterAll(() => close(gpu));

/** The bytes that are not zero, of the first buffer that can be mapped. */
async function leftovers(buffer: GPUBuffer): Promise<number> {
  await buffer.mapAsync(GPUMapMode.READ, 0, buffer.size - (buffer.size % 4));
  const bytes = new Uint8Array(buffer.getMappedRange(0, buffer.size - (buffer.size % 4)));
  const count = bytes.filter((byte) => byte !== 0).length;
  buffer.unmap();
  buffer.destroy();
  return count;
}

describe('the null adapter', () => {
  it.each([
    ['buffers that were never written', MAP_READ | COPY_DST, 0],
    ['buffers whose length is no multiple of 4', MAP_READ | COPY_DST, 2],
    ['read-only buffers', MAP_READ, 0],
    ['read-only buffers whose length is no multiple of 4', MAP_READ, 3],
  ])('gives zeros for %s', async (_what, usage, beyond) => {
    let found = 0;
    for (let count = 1; count <= 60; count += 1)
      found += await leftovers(device.createBuffer({ size: 1088 * count + beyond, usage }));
    expect(found).toBe(0);
  });

  it('gives zeros for a buffer that a texture or another buffer was copied to', async () => {
    let found = 0;
    for (let count = 1; count <= 30; count += 1) {
      const texture = device.createTexture({ size: [16, 16], format: 'rgba8unorm', usage: 1 });
      const source = device.createBuffer({ size: 4096 * count, usage: COPY_SRC });
      const [ofTexture, ofBuffer] = [4096, 4096 * count].map((size) =>
        device.createBuffer({ size, usage: MAP_READ | COPY_DST }),
      ) as [GPUBuffer, GPUBuffer];
      const encoder = device.createCommandEncoder();
      encoder.copyTextureToBuffer({ texture }, { buffer: ofTexture, bytesPerRow: 256 }, [16, 16]);
      encoder.copyBufferToBuffer(source, 0, ofBuffer, 0, 4096 * count);
      device.queue.submit([encoder.finish()]);
      found += (await leftovers(ofTexture)) + (await leftovers(ofBuffer));
    }
    expect(found).toBe(0);
  });

  it('gives the bytes that the program has written, and still refuses wrong calls', async () => {
    const buffer = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
    expect(buffer.mapState).toBe('unmapped');
    device.queue.writeBuffer(buffer, 4, Uint8Array.of(1, 2, 3, 4));
    await buffer.mapAsync(GPUMapMode.READ);
    expect([...new Uint8Array(buffer.getMappedRange())]).toEqual([
      0,
      0,
      0,
      0,
      1,
      2,
      3,
      4,
      ...new Array(8).fill(0),
    ]);
    for (const [size, usage, why] of [
      [16, MAP_READ | COPY_SRC, /usages .*invalid/],
      [2 ** 40, MAP_READ | COPY_DST, /exceeds the max buffer size/],
    ] as const) {
      device.pushErrorScope('validation');
      device.createBuffer({ size, usage });
      expect((await device.popErrorScope())?.message).toMatch(why);
    }
  });
});
