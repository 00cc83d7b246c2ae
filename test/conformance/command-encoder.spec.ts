import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { bufferOf, COPY_DST, COPY_SRC, thrown, u32sOf } from './support.js';

describe('GPUCommandEncoder', () => {
  parity('finish returns a command buffer with its label', async ({ device, globals, valid }) => {
    const encoder = device.createCommandEncoder({ label: 'encoder' });
    expect(encoder).toBeInstanceOf(globals.GPUCommandEncoder);
    expect(encoder.label).toBe('encoder');
    const commands = await valid(() => encoder.finish({ label: 'commands' }));
    expect(commands).toBeInstanceOf(globals.GPUCommandBuffer);
    expect(commands.label).toBe('commands');
  });

  parity('finishing twice is a validation error, and the first command buffer stays valid', async (t) => {
    const { device } = t;
    const encoder = device.createCommandEncoder({ label: 'twice' });
    const commands = encoder.finish();
    await t.invalid(() => encoder.finish());
    await t.valid(() => device.queue.submit([commands]));
  });

  parity('using an encoder after finish is a validation error', async ({ device, invalid }) => {
    const buffer = device.createBuffer({ size: 4, usage: COPY_DST });
    const encoder = device.createCommandEncoder({ label: 'finished' });
    encoder.finish();
    await invalid(() => encoder.clearBuffer(buffer));
    await invalid(() => encoder.pushDebugGroup('late'));
    await invalid(() => encoder.beginComputePass());
  });

  parity(
    'a mistake in encoding is an error of finish, not of the call',
    async ({ device, valid, invalid }) => {
      const wrong = device.createBuffer({ size: 4, usage: COPY_SRC, label: 'no destination' });
      const encoder = device.createCommandEncoder({ label: 'mistaken' });
      await valid(() => encoder.clearBuffer(wrong));
      await invalid(() => encoder.finish());
    },
  );

  parity('finish reports the first of several mistakes', async ({ device, invalid }) => {
    const [one, two] = ['one', 'two'].map((label) =>
      device.createBuffer({ size: 4, usage: COPY_SRC, label }),
    );
    const encoder = device.createCommandEncoder();
    encoder.clearBuffer(one as GPUBuffer);
    encoder.clearBuffer(two as GPUBuffer);
    const error = await invalid(() => encoder.finish());
    expect(error.message).toContain('one');
    expect(error.message).not.toContain('two');
  });

  parity('an invalid command buffer cannot be submitted', async ({ device, scoped, invalid }) => {
    const encoder = device.createCommandEncoder();
    encoder.popDebugGroup();
    let commands: GPUCommandBuffer | undefined;
    await scoped('validation', () => {
      commands = encoder.finish({ label: 'invalid' });
    });
    await invalid(() => device.queue.submit([commands as GPUCommandBuffer]));
  });

  parity('commands run in the order they were encoded', async ({ device }) => {
    const source = bufferOf(device, COPY_SRC, Uint32Array.of(1, 2, 3));
    const out = device.createBuffer({ size: 12, usage: COPY_SRC | COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, out, 0, 12);
    encoder.clearBuffer(out, 4, 4);
    encoder.copyBufferToBuffer(source, 8, out, 0, 4);
    device.queue.submit([encoder.finish()]);
    expect(await u32sOf(device, out)).toEqual([3, 0, 3]);
  });

  parity('two encoders record independently', async ({ device }) => {
    const source = bufferOf(device, COPY_SRC, Uint32Array.of(1, 2));
    const out = device.createBuffer({ size: 8, usage: COPY_SRC | COPY_DST });
    const [one, two] = [device.createCommandEncoder(), device.createCommandEncoder()];
    one.copyBufferToBuffer(source, 0, out, 0, 4);
    two.copyBufferToBuffer(source, 4, out, 0, 4);
    one.copyBufferToBuffer(source, 0, out, 4, 4);
    two.copyBufferToBuffer(source, 4, out, 4, 4);
    device.queue.submit([two.finish()]);
    device.queue.submit([one.finish()]);
    expect(await u32sOf(device, out)).toEqual([1, 1]);
  });

  parity('an encoder that is never finished does nothing', async ({ device }) => {
    const out = bufferOf(device, COPY_SRC | COPY_DST, Uint32Array.of(4));
    device.createCommandEncoder().clearBuffer(out);
    expect(await u32sOf(device, out)).toEqual([4]);
  });
});

describe('GPUCommandEncoder debug groups', () => {
  parity('debug groups nest and close', async ({ device, valid }) => {
    const encoder = device.createCommandEncoder();
    encoder.pushDebugGroup('outer');
    encoder.insertDebugMarker('here');
    encoder.pushDebugGroup('inner');
    encoder.popDebugGroup();
    encoder.popDebugGroup();
    await valid(() => encoder.finish());
  });

  parity('an open debug group is a validation error', async ({ device, invalid }) => {
    const encoder = device.createCommandEncoder();
    encoder.pushDebugGroup('open');
    await invalid(() => encoder.finish());
  });

  parity('closing a debug group too often is a validation error', async ({ device, invalid }) => {
    const encoder = device.createCommandEncoder();
    encoder.popDebugGroup();
    await invalid(() => encoder.finish());
  });

  parity('labels of debug groups are converted to strings', ({ device }) => {
    const encoder = device.createCommandEncoder();
    encoder.pushDebugGroup(7 as never);
    encoder.insertDebugMarker(null as never);
    expect(encoder.popDebugGroup()).toBeUndefined();
  });

  parity(
    'labels of debug groups are required',
    ({ device }) => {
      const encoder = device.createCommandEncoder();
      expect(thrown(() => (encoder.pushDebugGroup as () => void)())).toBeInstanceOf(TypeError);
    },
    { deviation: 'required strings may be missing' },
  );
});
