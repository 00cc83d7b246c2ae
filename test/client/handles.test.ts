import { expect, it } from 'vitest';
import { HandleAllocator } from '#farlight/client/session/handles.js';

it('never mints the same pair twice', () => {
  const allocator = new HandleAllocator();
  const seen = new Set<string>();
  const live: number[] = [];
  for (let round = 0; round < 1000; round += 1) {
    const { id, generation } = allocator.mint();
    const pair = `${id}:${generation}`;
    expect(seen.has(pair)).toBe(false);
    seen.add(pair);
    live.push(id);
    // Give every second one back, oldest first.
    if (round % 2 === 1) allocator.recycle(live.shift() as number);
  }
});

it('uses ids again, so that the host can index by them', () => {
  const allocator = new HandleAllocator();
  for (let round = 0; round < 100; round += 1) allocator.recycle(allocator.mint().id);
  expect(allocator.mint()).toEqual({ id: 1, generation: 100 });
});

it('does not mint the id of the GPU itself', () => {
  expect(new HandleAllocator().mint().id).not.toBe(0);
});
