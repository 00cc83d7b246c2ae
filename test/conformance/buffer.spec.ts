import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE, STORAGE, thrown, UNIFORM, VERTEX } from './support.js';

describe('creating a GPUBuffer', () => {
  parity('size, usage, mapState and label tell how a buffer was made', ({ device, globals }) => {
    const buffer = device.createBuffer({ size: 20, usage: STORAGE | COPY_SRC, label: 'weights' });
    expect(buffer).toBeInstanceOf(globals.GPUBuffer);
    expect(buffer.size).toBe(20);
    expect(buffer.usage).toBe(STORAGE | COPY_SRC);
    expect(buffer.mapState).toBe('unmapped');
    expect(buffer.label).toBe('weights');
  });

  parity('every usage alone makes a valid buffer', async ({ device, valid }) => {
    for (let bit = 1; bit <= support.QUERY_RESOLVE; bit <<= 1) {
      await valid(() => device.createBuffer({ size: 4, usage: bit }));
    }
  });

  parity('an empty buffer is valid', async ({ device, valid }) => {
    const buffer = await valid(() => device.createBuffer({ size: 0, usage: COPY_DST }));
    expect(buffer.size).toBe(0);
  });

  parity('the size of a buffer need not be a multiple of four', async ({ device, valid }) => {
    const buffer = await valid(() => device.createBuffer({ size: 3, usage: STORAGE }));
    expect(buffer.size).toBe(3);
  });

  parity('a buffer without usage is a validation error', async ({ device, invalid }) => {
    await invalid(() => device.createBuffer({ size: 4, usage: 0 }));
  });

  parity('an unknown usage is a validation error', async ({ device, invalid }) => {
    await invalid(() => device.createBuffer({ size: 4, usage: 0x8000 }));
  });

  parity(
    'MAP_READ allows only COPY_DST beside it, MAP_WRITE only COPY_SRC',
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

  parity('an invalid buffer is a normal object', async ({ device, globals, invalid }) => {
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

  parity('an invalid buffer raises an error at each use, but not when destroyed', async (t) => {
    const { device } = t;
    const bad = await new Promise<GPUBuffer>((resolve) => {
      void t.scoped('validation', () => resolve(device.createBuffer({ size: 8, usage: UNIFORM | MAP_READ })));
    });
    await t.invalid(() => device.queue.writeBuffer(bad, 0, new Uint8Array(4)));
    await t.invalid(() => device.queue.writeBuffer(bad, 0, new Uint8Array(4)));
    await t.valid(() => bad.destroy());
  });

  parity('destroying a buffer twice has no further effect', async ({ device, valid }) => {
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

  parity('a new buffer holds zeros', async ({ device }) => {
    const buffer = device.createBuffer({ size: 16, usage: COPY_SRC });
    expect(await support.u32sOf(device, buffer)).toEqual([0, 0, 0, 0]);
  });

  parity(
    'mappedAtCreation with a size that is not a multiple of four throws a RangeError',
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
