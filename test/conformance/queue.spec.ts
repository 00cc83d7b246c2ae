import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, READ, STORAGE, thrown, UNIFORM, u32sOf } from './support.js';

function copy(device: GPUDevice, from: GPUBuffer, to: GPUBuffer, at = 0): GPUCommandBuffer {
  const encoder = device.createCommandEncoder({ label: 'copy' });
  encoder.copyBufferToBuffer(from, 0, to, at, 4);
  return encoder.finish();
}

describe('GPUQueue', () => {
  parity('each dispatch sees the uniform as written before its submit', async ({ device }) => {
    const uniform = device.createBuffer({ size: 16, usage: UNIFORM | COPY_DST });
    const out = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC });
    const module = device.createShaderModule({
      code: `
        struct Params { at: u32, value: u32 }
        @group(0) @binding(0) var<uniform> params: Params;
        @group(0) @binding(1) var<storage, read_write> out: array<u32>;
        @compute @workgroup_size(1) fn main() { out[params.at] = params.value; }`,
    });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const group = support.bindGroup(device, pipeline, [uniform, out]);
    for (let step = 0; step < 4; step++) {
      device.queue.writeBuffer(uniform, 0, Uint32Array.of(step, 10 * (step + 1)));
      device.queue.submit([support.dispatch(device, pipeline, group)]);
    }
    device.queue.writeBuffer(uniform, 0, Uint32Array.of(0, 999));
    expect(await u32sOf(device, out)).toEqual([10, 20, 30, 40]);
  });

  parity('only the second submit sees a write between two submits', async ({ device }) => {
    const source = support.bufferOf(device, COPY_SRC | COPY_DST, Uint32Array.of(1));
    const out = device.createBuffer({ size: 8, usage: COPY_SRC | COPY_DST });
    device.queue.submit([copy(device, source, out, 0)]);
    device.queue.writeBuffer(source, 0, Uint32Array.of(2));
    device.queue.submit([copy(device, source, out, 4)]);
    expect(await u32sOf(device, out)).toEqual([1, 2]);
  });

  parity('the command buffers of a submit run in order', async ({ device }) => {
    const first = support.bufferOf(device, COPY_SRC, Uint32Array.of(1));
    const second = support.bufferOf(device, COPY_SRC, Uint32Array.of(2));
    const out = device.createBuffer({ size: 4, usage: COPY_SRC | COPY_DST });
    const [early, late] = [copy(device, first, out), copy(device, second, out)];
    device.queue.submit([late, early]);
    expect(await u32sOf(device, out)).toEqual([1]);
  });

  parity('a command buffer runs when it is submitted, not when it is finished', async ({ device }) => {
    const source = support.bufferOf(device, COPY_SRC | COPY_DST, Uint32Array.of(1));
    const out = device.createBuffer({ size: 4, usage: COPY_SRC | COPY_DST });
    const commands = copy(device, source, out);
    device.queue.writeBuffer(source, 0, Uint32Array.of(5));
    expect(await u32sOf(device, out)).toEqual([0]);
    device.queue.submit([commands]);
    expect(await u32sOf(device, out)).toEqual([5]);
  });

  parity('an empty submit is valid', async ({ device, valid }) => {
    await valid(() => device.queue.submit([]));
  });

  parity('a command buffer can be submitted only once', async ({ device, valid, invalid }) => {
    const source = support.bufferOf(device, COPY_SRC, Uint32Array.of(1));
    const out = device.createBuffer({ size: 4, usage: COPY_DST });
    const commands = copy(device, source, out);
    await valid(() => device.queue.submit([commands]));
    await invalid(() => device.queue.submit([commands]));
  });

  parity('a command buffer twice in one submit is a validation error, and nothing runs', async (t) => {
    const source = support.bufferOf(t.device, COPY_SRC, Uint32Array.of(1));
    const out = t.device.createBuffer({ size: 4, usage: COPY_DST | COPY_SRC });
    const commands = copy(t.device, source, out);
    await t.invalid(() => t.device.queue.submit([commands, commands]));
    expect(await u32sOf(t.device, out)).toEqual([0]);
  });

  parity('one invalid command buffer stops the whole submit, and consumes it', async (t) => {
    const { device } = t;
    const source = support.bufferOf(device, COPY_SRC, Uint32Array.of(1));
    const out = device.createBuffer({ size: 4, usage: COPY_DST | COPY_SRC });
    const gone = device.createBuffer({ size: 4, usage: COPY_DST, label: 'gone' });
    const good = copy(device, source, out);
    const bad = copy(device, source, gone);
    gone.destroy();
    await t.invalid(() => device.queue.submit([good, bad]));
    expect(await u32sOf(device, out)).toEqual([0]);
    await t.invalid(() => device.queue.submit([good]));
  });

  parity('a submit uses a buffer that is destroyed after it', async ({ device, valid }) => {
    const source = support.bufferOf(device, COPY_SRC, Uint32Array.of(6));
    const out = device.createBuffer({ size: 4, usage: COPY_DST | COPY_SRC });
    await valid(() => {
      device.queue.submit([copy(device, source, out)]);
      source.destroy();
    });
    expect(await u32sOf(device, out)).toEqual([6]);
  });

  parity("another device's command buffer is a validation error", async ({ device, newDevice, invalid }) => {
    const foreign = (await newDevice())
      .createCommandEncoder({ label: 'foreign' })
      .finish({ label: 'foreign' });
    await invalid(() => device.queue.submit([foreign]));
  });

  parity('an object of another class throws a TypeError', ({ device }) => {
    const encoder = device.createCommandEncoder();
    expect(thrown(() => device.queue.submit([encoder as never]))).toBeInstanceOf(TypeError);
    expect(thrown(() => device.queue.submit(null as never))).toBeInstanceOf(TypeError);
    expect(thrown(() => device.queue.submit([null as never]))).toBeInstanceOf(TypeError);
    expect(thrown(() => (device.queue.submit as () => void)())).toBeInstanceOf(TypeError);
  });

  parity('onSubmittedWorkDone resolves with undefined, with work or without', async ({ device }) => {
    expect(await device.queue.onSubmittedWorkDone()).toBeUndefined();
    const source = support.bufferOf(device, COPY_SRC, Uint32Array.of(1));
    const out = device.createBuffer({ size: 4, usage: COPY_DST });
    device.queue.submit([copy(device, source, out)]);
    expect(await device.queue.onSubmittedWorkDone()).toBeUndefined();
  });

  parity('onSubmittedWorkDone settles in the order of the calls', async ({ device }) => {
    const order: number[] = [];
    const calls = [0, 1, 2].map((call) => {
      device.queue.writeBuffer(device.createBuffer({ size: 4, usage: COPY_DST }), 0, new Uint8Array(4));
      return device.queue.onSubmittedWorkDone().then(() => order.push(call));
    });
    await Promise.all(calls);
    expect(order).toEqual([0, 1, 2]);
  });

  parity('a mapping before onSubmittedWorkDone settles before it', async ({ device }) => {
    const source = support.bufferOf(device, COPY_SRC, Uint32Array.of(1));
    const out = device.createBuffer({ size: 4, usage: COPY_DST | MAP_READ });
    device.queue.submit([copy(device, source, out)]);
    const order: string[] = [];
    const mapped = out.mapAsync(READ).then(() => order.push('map'));
    const done = device.queue.onSubmittedWorkDone().then(() => order.push('done'));
    await Promise.all([mapped, done]);
    expect(order).toEqual(['map', 'done']);
  });

  parity(
    'a failing mapping before onSubmittedWorkDone settles before it',
    async ({ device, invalid }) => {
      const buffer = device.createBuffer({ size: 4, usage: COPY_DST });
      const order: string[] = [];
      await invalid(async () => {
        const mapped = buffer.mapAsync(READ).catch(() => order.push('map'));
        const done = device.queue.onSubmittedWorkDone().then(() => order.push('done'));
        await Promise.all([mapped, done]);
      });
      expect(order).toEqual(['map', 'done']);
    },
    { deviation: 'a mapping that fails is settled late' },
  );
});
