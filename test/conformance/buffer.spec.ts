import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE, STORAGE, thrown, UNIFORM, VERTEX } from './support.js';

describe('GPUBuffer, its creation', () => {
  parity('size, usage, mapState and label say what it was made with', ({ device, globals }) => {
    const buffer = device.createBuffer({ size: 20, usage: STORAGE | COPY_SRC, label: 'weights' });
    expect(buffer).toBeInstanceOf(globals.GPUBuffer);
    expect(buffer.size).toBe(20);
    expect(buffer.usage).toBe(STORAGE | COPY_SRC);
    expect(buffer.mapState).toBe('unmapped');
    expect(buffer.label).toBe('weights');
  });

  parity('every single usage makes a valid buffer', async ({ device, valid }) => {
    for (let bit = 1; bit <= support.QUERY_RESOLVE; bit <<= 1) {
      await valid(() => device.createBuffer({ size: 4, usage: bit }));
    }
  });

  parity('a buffer of no bytes is valid', async ({ device, valid }) => {
    const buffer = await valid(() => device.createBuffer({ size: 0, usage: COPY_DST }));
    expect(buffer.size).toBe(0);
  });

  parity('a size need not be a multiple of four', async ({ device, valid }) => {
    const buffer = await valid(() => device.createBuffer({ size: 3, usage: STORAGE }));
    expect(buffer.size).toBe(3);
  });

  parity('no usage at all is a validation error', async ({ device, invalid }) => {
    await invalid(() => device.createBuffer({ size: 4, usage: 0 }));
  });

  parity('an unknown usage is a validation error', async ({ device, invalid }) => {
    await invalid(() => device.createBuffer({ size: 4, usage: 0x8000 }));
  });

  parity(
    'MAP_READ goes with COPY_DST alone, MAP_WRITE with COPY_SRC alone',
    async ({ device, valid, invalid }) => {
      await valid(() => device.createBuffer({ size: 4, usage: MAP_READ | COPY_DST }));
      await valid(() => device.createBuffer({ size: 4, usage: MAP_WRITE | COPY_SRC }));
      await invalid(() => device.createBuffer({ size: 4, usage: MAP_READ | COPY_SRC }));
      await invalid(() => device.createBuffer({ size: 4, usage: MAP_WRITE | VERTEX }));
      await invalid(() => device.createBuffer({ size: 4, usage: MAP_READ | MAP_WRITE }));
    },
  );

  parity('a size above maxBufferSize is a validation error', async ({ device, invalid }) => {
    const size = device.limits.maxBufferSize + 4;
    await invalid(() => device.createBuffer({ size, usage: STORAGE, label: 'huge' }));
  });

  parity('an invalid buffer is an object like any other', async ({ device, globals, invalid }) => {
    let buffer: GPUBuffer | undefined;
    await invalid(() => {
      buffer = device.createBuffer({ size: 4, usage: 0x8000, label: 'not to be' });
    });
    expect(buffer).toBeInstanceOf(globals.GPUBuffer);
    expect(buffer?.size).toBe(4);
    expect(buffer?.usage).toBe(0x8000);
    expect(buffer?.label).toBe('not to be');
    expect(buffer?.mapState).toBe('unmapped');
  });

  parity('an invalid buffer raises an error each time it is used, not when it is destroyed', async (t) => {
    const { device } = t;
    const bad = await new Promise<GPUBuffer>((resolve) => {
      void t.scoped('validation', () => resolve(device.createBuffer({ size: 8, usage: UNIFORM | MAP_READ })));
    });
    await t.invalid(() => device.queue.writeBuffer(bad, 0, new Uint8Array(4)));
    await t.invalid(() => device.queue.writeBuffer(bad, 0, new Uint8Array(4)));
    await t.valid(() => bad.destroy());
  });

  parity('destroying twice is destroying once', async ({ device, valid }) => {
    const buffer = device.createBuffer({ size: 4, usage: COPY_DST });
    await valid(() => {
      buffer.destroy();
      buffer.destroy();
    });
  });

  parity('a destroyed buffer keeps its attributes', ({ device }) => {
    const buffer = device.createBuffer({ size: 12, usage: COPY_DST, label: 'gone' });
    buffer.destroy();
    expect([buffer.size, buffer.usage, buffer.label, buffer.mapState]).toEqual([
      12,
      COPY_DST,
      'gone',
      'unmapped',
    ]);
  });

  parity('writing to a destroyed buffer is a validation error', async ({ device, invalid }) => {
    const buffer = device.createBuffer({ size: 4, usage: COPY_DST, label: 'gone' });
    buffer.destroy();
    await invalid(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(4)));
  });

  parity('a buffer begins as zeros', async ({ device }) => {
    const buffer = device.createBuffer({ size: 16, usage: COPY_SRC });
    expect(await support.u32sOf(device, buffer)).toEqual([0, 0, 0, 0]);
  });

  parity(
    'mappedAtCreation of a size that is no multiple of four throws a RangeError',
    async ({ device, valid }) => {
      await valid(() => {
        const make = () => device.createBuffer({ size: 6, usage: STORAGE, mappedAtCreation: true });
        expect(thrown(make)).toBeInstanceOf(RangeError);
      });
    },
  );

  parity('mappedAtCreation above maxBufferSize is a validation error or a RangeError', async (t) => {
    const { device } = t;
    let outcome = 'made';
    const size = device.limits.maxBufferSize + 4;
    const error = await t.scoped('validation', () => {
      try {
        device.createBuffer({ size, usage: STORAGE, mappedAtCreation: true });
      } catch (error) {
        outcome = (error as Error).name;
      }
    });
    expect(error !== null || outcome === 'RangeError').toBe(true);
    t.observe('outcome', outcome);
  });
});
