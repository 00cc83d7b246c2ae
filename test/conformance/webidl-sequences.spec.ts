import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COMPUTE, COPY_DST, thrown } from './support.js';

const entry = { binding: 0, visibility: COMPUTE, buffer: {} } as const;

describe('WebIDL sequences', () => {
  parity('sequences come from arrays', async ({ device, valid }) => {
    await valid(() => device.createBindGroupLayout({ entries: [entry] }));
  });

  parity(
    'sequences come from any iterable',
    async ({ device, valid, globals }) => {
      function* generated() {
        yield entry;
      }
      const iterables: unknown[] = [
        new Set([entry]),
        new Map([[0, entry]]).values(),
        generated(),
        { [Symbol.iterator]: () => [entry].values() },
      ];
      for (const entries of iterables) {
        const layout = await valid(() => device.createBindGroupLayout({ entries: entries as never }));
        expect(layout).toBeInstanceOf(globals.GPUBindGroupLayout);
        // The layout has the entry, so a bind group without one does not fit.
        const error = await valid(() =>
          device.createPipelineLayout({ bindGroupLayouts: new Set([layout]) as never }),
        );
        expect(error).toBeInstanceOf(globals.GPUPipelineLayout);
      }
    },
    { deviation: 'sequences must be arrays' },
  );

  parity(
    'a sequence of commands may be a Set',
    async ({ device, valid }) => {
      const buffer = device.createBuffer({ size: 4, usage: COPY_DST });
      const encoder = device.createCommandEncoder();
      encoder.clearBuffer(buffer);
      const commands = encoder.finish();
      await valid(() => device.queue.submit(new Set([commands]) as never));
    },
    { deviation: 'sequences must be arrays' },
  );

  parity(
    'a sequence reads the iterator once, and does not close it if an element cannot be converted',
    ({ device }) => {
      const steps: string[] = [];
      const sized = (...numbers: unknown[]) => ({
        get [Symbol.iterator]() {
          steps.push('read');
          const left = numbers.values();
          return () => ({
            next: () => left.next(),
            return: () => {
              steps.push('closed');
              return { done: true };
            },
          });
        },
      });
      const create = (size: object) =>
        device.createTexture({ size: size as never, format: 'rgba8unorm', usage: 1 });
      expect(create(sized(8, 4)).height).toBe(4);
      expect(steps.splice(0)).toEqual(['read']);
      expect(thrown(() => create(sized(8, 4n)))).toBeInstanceOf(TypeError);
      expect(steps).toEqual(['read']);
    },
    { deviation: 'sequences must be arrays' },
  );

  parity('an array-like that cannot be iterated throws a TypeError', ({ device }) => {
    const entries = { length: 1, 0: entry } as never;
    expect(thrown(() => device.createBindGroupLayout({ entries }))).toBeInstanceOf(TypeError);
    expect(thrown(() => device.queue.submit({ length: 0 } as never))).toBeInstanceOf(TypeError);
  });

  parity('a string or a number as a sequence throws a TypeError', ({ device }) => {
    for (const entries of ['ab', 5, true]) {
      expect(thrown(() => device.createBindGroupLayout({ entries: entries as never }))).toBeInstanceOf(
        TypeError,
      );
    }
  });

  parity(
    'an exception of an iterator is the exception of the call',
    ({ device }) => {
      const mine = new Error('mine');
      const entries = {
        *[Symbol.iterator]() {
          yield entry;
          throw mine;
        },
      };
      expect(thrown(() => device.createBindGroupLayout({ entries: entries as never }))).toBe(mine);
    },
    { deviation: 'sequences must be arrays' },
  );

  parity(
    'a sequence of features takes values that convert to a name',
    async ({ newDevice }) => {
      // TensorFlow.js gives a feature as an array.
      const requiredFeatures = [['timestamp-query']] as never;
      const { features } = await newDevice({ requiredFeatures });
      expect(features.has('timestamp-query')).toBe(true);
    },
    { features: ['timestamp-query'] },
  );
});

describe('WebIDL enumerations and strings', () => {
  parity('an unknown enumeration value throws a TypeError', ({ device }) => {
    expect(thrown(() => device.createQuerySet({ type: 'other' as never, count: 1 }))).toBeInstanceOf(
      TypeError,
    );
    expect(thrown(() => device.createQuerySet({ type: 'Occlusion' as never, count: 1 }))).toBeInstanceOf(
      TypeError,
    );
    expect(thrown(() => device.createQuerySet({ type: '' as never, count: 1 }))).toBeInstanceOf(TypeError);
  });

  parity('an enumeration value may come from an object that converts to it', ({ device }) => {
    const type = { toString: () => 'occlusion' } as never;
    expect(device.createQuerySet({ type, count: 1 }).type).toBe('occlusion');
  });

  parity(
    'a symbol for a string throws a TypeError',
    ({ device }) => {
      const label = Symbol('label') as never;
      expect(thrown(() => device.createBuffer({ size: 4, usage: COPY_DST, label }))).toBeInstanceOf(
        TypeError,
      );
      const buffer = device.createBuffer({ size: 4, usage: COPY_DST });
      expect(
        thrown(() => {
          buffer.label = label;
        }),
      ).toBeInstanceOf(TypeError);
    },
    { deviation: 'a symbol for a string crashes it' },
  );
});
