import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COPY_DST, rejection, thrown } from './support.js';

describe('WebIDL dictionaries', () => {
  parity('dictionary members may be inherited, getters, or on a function', ({ device }) => {
    const inherited = Object.create({ size: 8, usage: COPY_DST });
    expect(device.createBuffer(inherited).size).toBe(8);
    const getters = {
      get size() {
        return 12;
      },
      usage: COPY_DST,
    };
    expect(device.createBuffer(getters).size).toBe(12);
    const callable = Object.assign(() => {}, { size: 16, usage: COPY_DST });
    expect(device.createBuffer(callable as never).size).toBe(16);
  });

  parity('unknown members are ignored', async ({ device, valid }) => {
    const descriptor = { size: 8, usage: COPY_DST, sizes: 'many' };
    expect((await valid(() => device.createBuffer(descriptor))).size).toBe(8);
  });

  parity('a missing or undefined required member throws a TypeError', ({ device }) => {
    for (const descriptor of [{}, { size: 4 }, { usage: 8 }, { size: undefined, usage: 8 }]) {
      expect(thrown(() => device.createBuffer(descriptor as never))).toBeInstanceOf(TypeError);
    }
  });

  parity(
    'an exception of a getter is the exception of the call',
    ({ device }) => {
      const mine = new Error('mine');
      const descriptor = {
        get size(): number {
          throw mine;
        },
        usage: COPY_DST,
      };
      expect(thrown(() => device.createBuffer(descriptor))).toBe(mine);
    },
    { deviation: 'an exception from inside a conversion crashes it' },
  );

  parity(
    'each member is read once, in alphabetical order, the base dictionary first',
    ({ device }) => {
      const reads: string[] = [];
      const values = { size: 4, usage: COPY_DST } as Record<string, unknown>;
      const descriptor = new Proxy({} as never, {
        get(_, name) {
          reads.push(String(name));
          return values[String(name)];
        },
      });
      device.createBuffer(descriptor);
      expect(reads).toEqual(['label', 'mappedAtCreation', 'size', 'usage']);
    },
    { deviation: 'members are read in an order of its own' },
  );

  parity('null and undefined count as an empty optional dictionary', ({ device, globals }) => {
    expect(device.createCommandEncoder(undefined)).toBeInstanceOf(globals.GPUCommandEncoder);
    expect(device.createCommandEncoder(null as never)).toBeInstanceOf(globals.GPUCommandEncoder);
  });

  parity(
    'null and undefined throw a TypeError if a member is required',
    ({ device }) => {
      const create = device.createBuffer.bind(device) as (descriptor?: unknown) => GPUBuffer;
      expect(thrown(() => create())).toBeInstanceOf(TypeError);
      expect(thrown(() => create(undefined))).toBeInstanceOf(TypeError);
      expect(thrown(() => create(null))).toBeInstanceOf(TypeError);
    },
    { deviation: 'null or undefined for a dictionary crashes it' },
  );

  parity('a dictionary that is not an object throws a TypeError', ({ device }) => {
    for (const descriptor of [4, true, 'descriptor', 4n, Symbol('descriptor')]) {
      expect(
        thrown(() => device.createBuffer(descriptor as never)),
        String(descriptor),
      ).toBeInstanceOf(TypeError);
    }
  });

  parity(
    'an optional dictionary that is not an object throws a TypeError',
    ({ device }) => {
      for (const descriptor of [4, true, 'descriptor']) {
        expect(thrown(() => device.createCommandEncoder(descriptor as never))).toBeInstanceOf(TypeError);
      }
    },
    { deviation: 'a string is taken for a dictionary' },
  );

  parity('nested dictionaries are converted, too', ({ device }) => {
    const entries = [{ binding: 0, visibility: 4, buffer: { type: 'storage', minBindingSize: -1 } }];
    expect(thrown(() => device.createBindGroupLayout({ entries } as never))).toBeInstanceOf(TypeError);
  });

  parity(
    'records take only own enumerable names',
    async ({ device, valid }) => {
      const code = 'override a: u32 = 1; @compute @workgroup_size(1) fn main() { _ = a; }';
      const module = device.createShaderModule({ code });
      const constants = Object.create({ inherited: 1 });
      constants.a = 2;
      Object.defineProperty(constants, 'hidden', { value: 3, enumerable: false });
      await valid(() => device.createComputePipeline({ layout: 'auto', compute: { module, constants } }));
    },
    { deviation: 'records take inherited names' },
  );

  parity('a promise method rejects if a conversion throws', async ({ newAdapter }) => {
    const adapter = await newAdapter();
    const wrong = { requiredFeatures: 5 } as never;
    expect(await rejection(adapter.requestDevice(wrong))).toBeInstanceOf(TypeError);
  });
});
