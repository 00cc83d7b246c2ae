import { describe, expect } from 'vitest';
import { parity } from './fixture.js';

describe('GPUSupportedFeatures', () => {
  parity("an adapter's features are those of the host's GPU", ({ adapter, observe }) => {
    observe('features', [...adapter.features].sort());
  });

  parity(
    'a device has exactly the requested features',
    async ({ newDevice }) => {
      const wanted: GPUFeatureName[] = ['timestamp-query', 'indirect-first-instance'];
      const { features } = await newDevice({ requiredFeatures: wanted });
      expect([...features].sort()).toEqual([
        'core-features-and-limits',
        'indirect-first-instance',
        'timestamp-query',
      ]);
    },
    { features: ['timestamp-query', 'indirect-first-instance'] },
  );

  parity(
    'a feature brings the features that it implies',
    async ({ newDevice, observe }) => {
      const { features } = await newDevice({ requiredFeatures: ['subgroup-size-control'] });
      expect(features.has('subgroups')).toBe(true);
      observe('features', [...features].sort());
    },
    { features: ['subgroup-size-control'] },
  );

  parity('a device of a core adapter always has core-features-and-limits', ({ device }) => {
    expect([...device.features]).toEqual(['core-features-and-limits']);
    expect(device.features.size).toBe(1);
  });

  parity('asking for a feature twice counts once', async ({ newDevice }) => {
    const feature = 'core-features-and-limits';
    const { features } = await newDevice({ requiredFeatures: [feature, feature] });
    expect([...features]).toEqual([feature]);
  });

  parity('has converts its argument to a string', ({ device }) => {
    expect(device.features.has(['core-features-and-limits'] as never)).toBe(true);
    expect(device.features.has(undefined as never)).toBe(false);
  });

  parity('keys and the iterator list what size counts and has finds', ({ adapter: { features } }) => {
    const names = [...features];
    expect(names.length).toBe(features.size);
    expect([...features.keys()]).toEqual(names);
    for (const name of names) expect(features.has(name), name).toBe(true);
  });

  parity(
    'values and entries list the same as keys, like a Set',
    ({ adapter: { features } }) => {
      const names = [...features.keys()];
      expect([...features.values()]).toEqual(names);
      expect([...features.entries()]).toEqual(names.map((name) => [name, name]));
    },
    { deviation: 'setlikes have only has, keys and size' },
  );

  parity(
    'forEach visits every feature, with the set and the given context',
    ({ adapter: { features } }) => {
      const context = {};
      const visits: unknown[] = [];
      features.forEach(function (this: unknown, value, key, set) {
        visits.push([this, value, key, set]);
      }, context);
      expect(visits).toEqual([...features].map((name) => [context, name, name, features]));
    },
    { deviation: 'setlikes have only has, keys and size' },
  );

  parity(
    'WGSLLanguageFeatures is a set in the same way',
    ({ gpu: { wgslLanguageFeatures: features } }) => {
      const names = [...features];
      expect(names.length).toBe(features.size);
      const visited: string[] = [];
      features.forEach((name) => {
        visited.push(name);
      });
      expect(visited).toEqual(names);
      expect([...features.entries()]).toEqual(names.map((name) => [name, name]));
    },
    { deviation: 'setlikes have only has, keys and size' },
  );

  parity('feature sets are read-only', ({ device }) => {
    for (const name of ['add', 'delete', 'clear']) expect(name in device.features, name).toBe(false);
  });
});
