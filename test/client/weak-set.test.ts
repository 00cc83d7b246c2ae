import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { IterableWeakSet } from '#farlight/client/api/iterable-weak-set.js';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

describe('IterableWeakSet', () => {
  it('holds each member once, however often it was added and deleted', () => {
    const set = new IterableWeakSet<{ name: string }>();
    const [a, b] = [{ name: 'a' }, { name: 'b' }];
    set.add(a);
    set.add(a);
    set.add(b);
    set.delete(a);
    expect(set.members()).toEqual([b]);
    set.delete(a);
    set.add(a);
    expect(set.members()).toEqual([b, a]);
  });

  it('does not keep a member alive, even one that was deleted and added again', async () => {
    const set = new IterableWeakSet<object>();
    // In a function of its own: variables of this one would keep the last members.
    const gone = Array.from({ length: 10 }, () => {
      const member = {};
      set.add(member);
      set.delete(member);
      set.add(member);
      return new WeakRef(member);
    });
    // A weak reference that was read keeps its object until the task ends.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(gone.filter((ref) => ref.deref()).length).toBe(0);
    expect(set.members()).toEqual([]);
  });
});
