import { describe, expect, it } from 'vitest';
import { MemoryCount } from '#farlight/server/executor/limits/memory-count.js';

describe('the GPU memory of a session without a limit', () => {
  const hold = (memory: MemoryCount, bytes: number) =>
    memory.allocate({ operation: 'GPUDevice.createBuffer', bytes, exceeds: () => false, make: () => ({}) });

  it('counts each object once that was made, and neither destroyed nor released', () => {
    const memory = new MemoryCount();
    const first = hold(memory, 100);
    const second = hold(memory, 20);
    hold(memory, 3);
    expect(memory.used).toBe(123);
    memory.destroyed(first);
    memory.destroyed(first);
    memory.released(first);
    memory.released(second);
    memory.destroyed({});
    expect(memory.used).toBe(3);
  });

  it('does not count an object that could not be made', () => {
    const memory = new MemoryCount();
    const make = () => {
      throw new RangeError('no');
    };
    expect(() => memory.allocate({ operation: 'x', bytes: 5, exceeds: () => false, make })).toThrow(/no/);
    expect(memory.used).toBe(0);
  });
});
