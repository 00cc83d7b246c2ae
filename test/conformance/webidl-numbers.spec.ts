import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COPY_DST, thrown } from './support.js';

const sized = (device: GPUDevice, size: unknown) =>
  device.createBuffer({ size: size as number, usage: COPY_DST });

describe('WebIDL numbers with [EnforceRange]', () => {
  parity('numbers are cut to an integer', ({ device }) => {
    expect(sized(device, 4.9).size).toBe(4);
    expect(device.createBuffer({ size: 4, usage: COPY_DST + 0.5 }).usage).toBe(COPY_DST);
  });

  parity(
    'a fraction above minus one becomes zero',
    ({ device }) => {
      expect(sized(device, -0.5).size).toBe(0);
      expect(Object.is(sized(device, -0).size, 0)).toBe(true);
    },
    { deviation: 'a fraction above minus one is out of range' },
  );

  parity('numbers out of range throw a TypeError', async ({ device, valid }) => {
    await valid(() => {
      for (const size of [
        -1,
        2 ** 53,
        2 ** 64,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
      ]) {
        expect(
          thrown(() => sized(device, size)),
          String(size),
        ).toBeInstanceOf(TypeError);
      }
      for (const usage of [-1, 2 ** 32, Number.NaN]) {
        expect(
          thrown(() => device.createBuffer({ size: 4, usage })),
          String(usage),
        ).toBeInstanceOf(TypeError);
      }
    });
  });

  parity('the largest integer is in range: the device finds its errors', async (t) => {
    await t.invalid(() => sized(t.device, Number.MAX_SAFE_INTEGER));
  });

  parity(
    'numbers are converted from any value',
    ({ device }) => {
      expect(sized(device, '16').size).toBe(16);
      expect(sized(device, '0x10').size).toBe(16);
      expect(sized(device, true).size).toBe(1);
      expect(sized(device, null).size).toBe(0);
      expect(sized(device, [8]).size).toBe(8);
      expect(sized(device, { valueOf: () => 12 }).size).toBe(12);
    },
    { deviation: 'numbers must be numbers' },
  );

  parity('text that is not a number throws a TypeError', ({ device }) => {
    expect(thrown(() => sized(device, 'four'))).toBeInstanceOf(TypeError);
    expect(thrown(() => sized(device, {}))).toBeInstanceOf(TypeError);
  });

  parity('an object that converts to a bigint or a symbol throws a TypeError', ({ device }) => {
    for (const primitive of [4n, Symbol('4')]) {
      const size = { valueOf: () => primitive };
      expect(thrown(() => sized(device, size))).toBeInstanceOf(TypeError);
    }
  });

  parity('bigints and symbols throw a TypeError', ({ device }) => {
    expect(thrown(() => sized(device, 4n))).toBeInstanceOf(TypeError);
    expect(thrown(() => sized(device, Symbol('4')))).toBeInstanceOf(TypeError);
  });

  parity('numbers in arguments are converted like those in dictionaries', async ({ device, valid }) => {
    const buffer = sized(device, 16);
    const write = (offset: unknown) => () =>
      device.queue.writeBuffer(buffer, offset as number, new Uint8Array(4));
    await valid(write(4.5));
    for (const offset of [-1, Number.NaN, 2 ** 53, 4n, {}]) {
      expect(thrown(write(offset)), String(offset)).toBeInstanceOf(TypeError);
    }
  });

  parity('undefined for a required number throws a TypeError', ({ device }) => {
    const buffer = sized(device, 16);
    const write = () => device.queue.writeBuffer(buffer, undefined as never, new Uint8Array(4));
    expect(thrown(write)).toBeInstanceOf(TypeError);
  });
});

describe('WebIDL booleans', () => {
  parity('true, false and undefined', ({ device }) => {
    const state = (mappedAtCreation: unknown) =>
      device.createBuffer({ size: 4, usage: COPY_DST, mappedAtCreation: mappedAtCreation as boolean })
        .mapState;
    expect([true, false, undefined].map(state)).toEqual(['mapped', 'unmapped', 'unmapped']);
  });

  parity(
    'booleans follow truthiness',
    ({ device }) => {
      const state = (mappedAtCreation: unknown) =>
        device.createBuffer({ size: 4, usage: COPY_DST, mappedAtCreation: mappedAtCreation as boolean })
          .mapState;
      expect(['no', 1, {}, Symbol('yes')].map(state)).toEqual(['mapped', 'mapped', 'mapped', 'mapped']);
      expect(['', 0, null, Number.NaN].map(state)).toEqual(['unmapped', 'unmapped', 'unmapped', 'unmapped']);
    },
    { deviation: 'booleans must be booleans' },
  );
});
