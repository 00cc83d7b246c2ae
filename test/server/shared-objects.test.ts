import { describe, expect, it } from 'vitest';
import { SharedObjects } from '#farlight/server/executor/shared-objects.js';

/** An object made of `parts`, as a session makes it: kept from the second time on. */
function make(shared: SharedObjects, shape: string, parts: object[]): object {
  const key = shared.key(shape, parts);
  const kept = shared.take(key);
  if (kept) return kept;
  const object = { shape };
  if (!shared.isNew(key)) shared.keep(key, object, parts);
  return object;
}

const device = { name: 'device' };

describe('a create that repeats', () => {
  it('gets the object that is there from the third time on', () => {
    const shared = new SharedObjects();
    const [first, second, third, fourth] = [1, 2, 3, 4].map(() => make(shared, 'sampler', [device]));
    expect(first).not.toBe(second);
    expect(third).toBe(second);
    expect(fourth).toBe(second);
    expect(shared.hits).toBe(2);
  });

  it('is another where any part is another', () => {
    const shared = new SharedObjects();
    const [a, b] = [{}, {}];
    for (let count = 0; count < 3; count += 1) make(shared, 'group', [device, a]);
    expect(shared.take(shared.key('group', [device, b]))).toBeUndefined();
    expect(shared.take(shared.key('group', [{}, a]))).toBeUndefined();
    expect(shared.take(shared.key('other', [device, a]))).toBeUndefined();
    expect(shared.take(shared.key('group', [device, a]))).toBeDefined();
  });

  it('makes its own where the one before was not valid', () => {
    const shared = new SharedObjects();
    const key = shared.key('invalid', [device]);
    for (let count = 0; count < 5; count += 1) {
      expect(shared.take(key)).toBeUndefined();
      shared.isNew(key);
    }
  });
});

describe('what is kept', () => {
  it('goes with the last handle of what it is made of', () => {
    const shared = new SharedObjects();
    const buffer = {};
    for (let count = 0; count < 2; count += 1) make(shared, 'group', [device, buffer]);
    shared.released(buffer);
    expect(shared.take(shared.key('group', [device, buffer]))).toBeUndefined();
  });

  it('stays while another handle of what it is made of is there', () => {
    const shared = new SharedObjects();
    const layouts = [1, 2, 3, 4].map(() => make(shared, 'layout', [device]));
    const layout = layouts[3] as object;
    for (let count = 0; count < 2; count += 1) make(shared, 'group', [layout]);
    shared.released(layout);
    expect(shared.take(shared.key('group', [layout]))).toBeDefined();
  });

  it('takes along what is made of it', () => {
    const shared = new SharedObjects();
    const texture = {};
    const [first, view] = [1, 2].map(() => make(shared, 'view', [texture]));
    for (let count = 0; count < 2; count += 1) make(shared, 'group', [view as object]);
    shared.released(first as object);
    shared.released(view as object);
    expect(shared.take(shared.key('group', [view as object]))).toBeDefined();
    shared.released(texture);
    expect(shared.take(shared.key('view', [texture]))).toBeUndefined();
    expect(shared.take(shared.key('group', [view as object]))).toBeUndefined();
  });

  it('is not kept where a part has gone while it was checked', () => {
    const shared = new SharedObjects();
    const buffer = {};
    const key = shared.key('group', [buffer]);
    shared.isNew(key);
    shared.released(buffer);
    shared.keep(key, {}, [buffer]);
    expect(shared.take(key)).toBeUndefined();
  });

  it('is bounded: the least recently used goes first', () => {
    const shared = new SharedObjects();
    const held = [1, 2].map(() => make(shared, 'held', [device]))[1];
    for (let count = 0; count < 20_000; count += 1) {
      make(shared, `shape ${count}`, [device]);
      if (count % 1000 === 0) expect(make(shared, 'held', [device])).toBe(held);
    }
    make(shared, 'shape 0', [device]);
    expect(shared.isNew(shared.key('shape 1', [device]))).toBe(true);
  });

  it('stands for no further handle once it was withdrawn', () => {
    const shared = new SharedObjects();
    const kept = [1, 2].map(() => make(shared, 'sampler', [device]))[1] as object;
    shared.withdraw(kept);
    expect(make(shared, 'sampler', [device])).not.toBe(kept);
  });
});
