import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CLIENT,
  type Descriptor,
  meshOf,
  type Placement,
  partsOf,
} from '#farlight/shard/layout/descriptor.js';
import { exchange, throughClient } from '#farlight/shard/layout/exchange.js';
import { divide, elementsOf, intersection } from '#farlight/shard/layout/region.js';
import { combinations, hop, placementsOf, transfer } from '#farlight/shard/layout/transfer.js';
import { sumOf } from '#farlight/shard/plan/costs.js';

const row = (hosts: number[], placement: Placement): Descriptor => ({
  mesh: meshOf(hosts),
  placements: [placement],
});
const first = (count: number) => [...Array(count).keys()];
const behind = (skipped: number, count: number) => first(count).map((host) => host + skipped);

/** Bytes of the cheapest transfer of an 8x12 tensor of one byte an element. */
const bytes = (from: Descriptor, to: Descriptor) => transfer(from, to, [8, 12], 1).bytes;

describe('the bytes of a transfer among the same hosts', () => {
  test.each([
    [2, 48, 96, 96, 192],
    [4, 72, 288, 288, 576],
  ])(
    'the bytes of a transfer are those of the closed forms on %i hosts',
    (p, splits, gather, scatter, reduce) => {
      const hosts = first(p);
      expect(bytes(row(hosts, 0), row(hosts, 1))).toBe(splits);
      expect(bytes(row(hosts, 0), row(hosts, 'B'))).toBe(gather);
      expect(bytes(row(hosts, 'P'), row(hosts, 0))).toBe(scatter);
      expect(bytes(row(hosts, 'P'), row(hosts, 'B'))).toBe(reduce);
    },
  );

  test('a transfer moves no bytes if each host has its part already, or adds zeros', () => {
    const hosts = first(3);
    for (const placement of [0, 1, 'B', 'P'] as const) {
      expect(bytes(row(hosts, placement), row(hosts, placement))).toBe(0);
      expect(bytes(row(hosts, 'B'), row(hosts, placement))).toBe(0);
    }
    expect(bytes(row(hosts, 1), row(hosts, 'P'))).toBe(0);
  });

  test('the bytes of a transfer follow the real sizes of uneven parts', () => {
    const hosts = first(3);
    expect(transfer(row(hosts, 0), row(hosts, 1), [7, 5], 1).bytes).toBe(23);
  });

  test('the bytes of a transfer are the sum over the groups of a mesh of two axes', () => {
    const mesh = meshOf(first(4), [2, 2]);
    const on = (...placements: Placement[]): Descriptor => ({ mesh, placements });
    expect(bytes(on(0, 'P'), on(0, 'B'))).toBe(192);
    expect(bytes(on('B', 'P'), on('B', 'B'))).toBe(384);
    expect(bytes(on('P', 'P'), on('B', 'B'))).toBe(2 * 3 * 96);
  });
});

describe('the bytes of a transfer to other hosts', () => {
  test.each([
    [2, 4, 0, 0, 96],
    [2, 4, 0, 1, 96],
    [2, 4, 0, 'B', 384],
    [2, 4, 'P', 0, 192],
    [2, 4, 'P', 'B', 480],
    [4, 2, 'P', 'B', 480],
    [2, 3, 0, 0, 96],
    [3, 2, 'B', 1, 96],
    [3, 2, 'B', 'B', 192],
    [2, 4, 1, 'P', 96],
    [4, 2, 'P', 'P', 384],
  ] as const)('from %i to %i, %s to %s', (p, q, have, want, expected) => {
    expect(bytes(row(first(p), have), row(behind(p, q), want))).toBe(expected);
  });

  test('the bytes to other hosts go over p + q - gcd links if the split stays the same', () => {
    const { hops } = transfer(row(first(2), 0), row(behind(2, 3), 0), [8, 12], 1);
    const links = new Map(hops[0]?.pieces.map(({ from, to, bytes }) => [`${from}-${to}`, bytes]));
    expect(links.size).toBe(4);
    expect(Math.max(...links.values())).toBe(36);
  });
});

test('the client fetches each piece once, and adds terms itself', () => {
  for (const p of [2, 4]) {
    const at = (have: Descriptor, want: Descriptor) => {
      const { up, down } = throughClient(have, want, [8, 12], 1);
      return [sumOf(up), sumOf(down)];
    };
    const on = (placement: Placement) => row(first(p), placement);
    const client = row([CLIENT], 'B');
    const moved = ((p - 1) * 96) / p;
    expect(at(on(0), on(1))).toEqual([moved, moved]);
    expect(at(on(0), on('B'))).toEqual([96, (p - 1) * 96]);
    expect(at(on('P'), on(0))).toEqual([(p - 1) * 96, 96]);
    expect(at(on('P'), on('B'))).toEqual([p * 96, p * 96]);
    expect(at(client, on('B'))).toEqual([0, p * 96]);
    expect(at(client, on(0))).toEqual([0, 96]);
    expect(at(on(0), client)).toEqual([96, 0]);
    expect(at(on('P'), client)).toEqual([p * 96, 0]);
    expect(at(on('B'), on(0))).toEqual([0, 0]);
  }
});

test('hosts that get the same sum get it from the client, which adds all terms in one order', () => {
  const { boxes } = exchange(row([0, 1, 2], 'P'), row([0, 1, 2], 'B'), [4]);
  expect(boxes.map(({ receiver, sent, kept }) => [receiver, sent, kept])).toEqual([
    [0, [0, 1, 2], undefined],
    [1, [0, 1, 2], undefined],
    [2, [0, 1, 2], undefined],
  ]);
});

/** A tensor as its elements: for each host its part's values, where terms are numbers that add up. */
function scatter(
  descriptor: Descriptor,
  shape: readonly number[],
  values: readonly number[],
): Map<number, number>[] {
  return partsOf(descriptor, shape).map(({ region, term }) => {
    const part = new Map<number, number>();
    values.forEach((value, index) => {
      const at = placeOf(index, shape);
      // Term 0 has the value less what the other terms have, which is one each.
      const terms = new Set(partsOf(descriptor, shape).map((other) => other.term)).size;
      if (at.every((x, axis) => x >= (region.start[axis] as number) && x < (region.end[axis] as number)))
        part.set(index, term === 0 ? value - (terms - 1) : 1);
    });
    return part;
  });
}

function placeOf(index: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  let rest = index;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    place.unshift(rest % (shape[axis] as number));
    rest = Math.floor(rest / (shape[axis] as number));
  }
  return place;
}

const meshes = fc.constantFrom(
  meshOf([0]),
  meshOf([0, 1]),
  meshOf([0, 1, 2]),
  meshOf([1, 3]),
  meshOf([4, 5, 6]),
  meshOf([0, 1, 2, 3], [2, 2]),
  meshOf(
    [0, 1, 2, 3],
    [2, 2],
    [
      [1, 3],
      [2, 1],
    ],
  ),
  meshOf([2, 0, 5], [3], [[1, 0, 2]]),
);
const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 });
const moves = fc.tuple(meshes, meshes, shapes).chain(([have, want, shape]) =>
  fc.record({
    shape: fc.constant(shape),
    from: fc
      .constantFrom(...combinations(placementsOf(shape), have.shape.length))
      .map((placements) => ({ mesh: have, placements })),
    to: fc
      .constantFrom(...combinations(placementsOf(shape), want.shape.length))
      .map((placements) => ({ mesh: want, placements })),
  }),
);

test('the pieces of a transfer make the wanted layout of every tensor', () => {
  const property = fc.property(moves, ({ shape, from, to }) => {
    const size = elementsOf({ start: shape.map(() => 0), end: shape });
    const values = first(size).map((index) => 10 + index * 7);
    const { hops } = transfer(from, to, shape, 4);
    // Each hop is played with values: a receiver adds up what it kept and what came.
    let now = scatter(from, shape, values);
    let layout: Descriptor = from;
    for (const { pieces, to: next } of hops.length > 0 ? hops : [{ pieces: [], to }]) {
      const haves = partsOf(layout, shape);
      const wants = partsOf(next, shape);
      const made = wants.map(() => new Map<number, number>());
      const taken = new Set<string>();
      const add = (host: number, source: number, index: number) => {
        const value = now[source]?.get(index);
        const target = wants.findIndex((want) => want.host === host);
        if (value === undefined) throw new Error('a host sends what it does not have');
        made[target]?.set(index, (made[target]?.get(index) ?? 0) + value);
      };
      const isIn = (index: number, { start, end }: { start: readonly number[]; end: readonly number[] }) =>
        placeOf(index, shape).every((x, axis) => x >= (start[axis] as number) && x < (end[axis] as number));
      for (const { from: sender, to: receiver, region, term, bytes } of pieces) {
        expect(bytes).toBe(4 * elementsOf(region));
        const source = haves.findIndex(({ host, term: held }) => host === sender && held === term);
        for (let index = 0; index < size; index += 1) if (isIn(index, region)) add(receiver, source, index);
      }
      // A host keeps what it has and wants. Of a sum, only one of the receivers keeps a term that several have.
      for (const [target, want] of wants.entries())
        for (const [source, have] of haves.entries()) {
          if (have.host !== want.host) continue;
          const shared = intersection(have.region, want.region);
          if (!shared) continue;
          for (let index = 0; index < size; index += 1) {
            if (!isIn(index, shared)) continue;
            const group = groupKey(next, target);
            if (taken.has(`${group}/${have.term}/${index}`)) continue;
            taken.add(`${group}/${have.term}/${index}`);
            add(want.host, source, index);
          }
        }
      now = made;
      layout = next;
    }
    const totals = new Map<string, Map<number, number>>();
    for (const [target, part] of now.entries()) {
      const key = groupKey(to, target);
      const total = totals.get(key) ?? new Map<number, number>();
      totals.set(key, total);
      for (const [index, value] of part) total.set(index, (total.get(index) ?? 0) + value);
    }
    const wants = partsOf(to, shape);
    for (const [target, want] of wants.entries()) {
      const key = groupKey(to, target);
      for (let index = 0; index < size; index += 1) {
        const at = placeOf(index, shape);
        const isWanted = at.every(
          (x, axis) => x >= (want.region.start[axis] as number) && x < (want.region.end[axis] as number),
        );
        if (isWanted) expect(totals.get(key)?.get(index)).toBe(values[index]);
      }
    }
  });
  fc.assert(property, { numRuns: 400 });
});

/** The place of a host on those axes of its mesh along which no terms lie. */
function groupKey({ mesh, placements }: Descriptor, index: number): string {
  return placeOf(index, mesh.shape)
    .filter((_, axis) => placements[axis] !== 'P')
    .join();
}

test('the pieces through the client make the wanted layout of every tensor, and none goes twice', () => {
  const property = fc.property(moves, ({ shape, from, to }) => {
    const size = elementsOf({ start: shape.map(() => 0), end: shape });
    const values = first(size).map((index) => 10 + index * 7);
    const haves = partsOf(from, shape);
    const now = scatter(from, shape, values);
    const { fetches, boxes } = exchange(from, to, shape);
    const isIn = (index: number, { start, end }: { start: readonly number[]; end: readonly number[] }) =>
      placeOf(index, shape).every((x, axis) => x >= (start[axis] as number) && x < (end[axis] as number));
    const elementOf = (host: number | undefined, term: number, index: number): number => {
      const source = haves.findIndex(
        (have) => (host === undefined || have.host === host) && have.term === term,
      );
      const value = now[source]?.get(index);
      if (value === undefined) throw new Error('a host sends or keeps what it does not have');
      return value;
    };
    const atClient = new Map<string, number>();
    for (const { host, term, region } of fetches)
      for (let index = 0; index < size; index += 1) {
        if (!isIn(index, region)) continue;
        expect(atClient.has(`${term}/${index}`)).toBe(false);
        atClient.set(`${term}/${index}`, elementOf(host, term, index));
      }
    const totals = new Map<string, number>();
    const wants = partsOf(to, shape);
    for (const { receiver, region, sent, kept } of boxes)
      for (let index = 0; index < size; index += 1) {
        if (!isIn(index, region)) continue;
        const target = wants.findIndex(({ host }) => host === receiver);
        const terms = sent.map((term) => atClient.get(`${term}/${index}`) as number);
        if (kept !== undefined) terms.push(elementOf(receiver, kept, index));
        const key = `${groupKey(to, target)}/${index}`;
        totals.set(key, (totals.get(key) ?? 0) + terms.reduce((sum, one) => sum + one, 0));
      }
    for (const [target, { region }] of wants.entries())
      for (let index = 0; index < size; index += 1)
        if (isIn(index, region)) expect(totals.get(`${groupKey(to, target)}/${index}`)).toBe(values[index]);
  });
  fc.assert(property, { numRuns: 400 });
});

test('no transfer moves more than the direct exchange', () => {
  fc.assert(
    fc.property(moves, ({ shape, from, to }) => {
      expect(transfer(from, to, shape, 1).bytes).toBeLessThanOrEqual(hop(from, to, shape, 1).bytes);
    }),
    { numRuns: 300 },
  );
});

test('indices are divided in proportion, with none lost and none twice', () => {
  expect(divide(7, [1, 1, 1])).toEqual([0, 3, 5, 7]);
  expect(divide(6625, [1, 1])).toEqual([0, 3313, 6625]);
  expect(divide(2, [1, 1, 1])).toEqual([0, 1, 2, 2]);
  fc.assert(
    fc.property(
      fc.nat(1000),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 6 }).filter((w) => w.some(Boolean)),
      (size, weights) => {
        const bounds = divide(size, weights);
        const total = weights.reduce((a, b) => a + b, 0);
        expect(bounds[0]).toBe(0);
        expect(bounds.at(-1)).toBe(size);
        weights.forEach((weight, part) => {
          const count = (bounds[part + 1] as number) - (bounds[part] as number);
          expect(Math.abs(count - (size * weight) / total)).toBeLessThan(1);
        });
      },
    ),
  );
});
