import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { IterableWeakSet } from '#farlight/client/api/iterable-weak-set.js';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

describe('a weak set that can be walked', () => {
  it('has each member once, however often it came and went', () => {
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

  it('does not keep a member alive, also one that went and came again', async () => {
    const set = new IterableWeakSet<object>();
    // Made in a function of its own: this one's variables would keep the last of them.
    const gone = Array.from({ length: 10 }, () => {
      const member = {};
      set.add(member);
      set.delete(member);
      set.add(member);
      return new WeakRef(member);
    });
    // A weak reference that was looked at holds its object until the task is over.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(gone.filter((ref) => ref.deref()).length).toBe(0);
    expect(set.members()).toEqual([]);
  });
});
