import { expect, it } from 'vitest';
import { PinnedMemory } from '#farlight/server/contents/content-store.js';

it('counts each buffer that bytes lie in once, and for all the time that one of them is held', () => {
  const memory = new PinnedMemory();
  const frame = new Uint8Array(1000);
  const [one, two] = [frame.subarray(0, 10), frame.subarray(500, 600)];
  memory.add(one);
  memory.add(two);
  memory.add(new Uint8Array(50));
  expect(memory.bytes).toBe(1050);
  memory.remove(one);
  expect(memory.bytes).toBe(1050);
  memory.remove(two);
  expect(memory.bytes).toBe(50);
});
