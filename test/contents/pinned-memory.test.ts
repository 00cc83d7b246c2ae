import { expect, it } from 'vitest';
import { PinnedMemory } from '#farlight/server/contents/content-store.js';

it('pinned memory counts each buffer once, as long as some of its bytes are in use', () => {
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
