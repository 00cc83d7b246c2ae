import { expect } from 'vitest';
import type { ShardedModel, ShardOptions } from '#farlight/shard/index.js';

/** With these the small GPT lies on two hosts by its layers. A part of nothing is none, so no tensor is split. */
export const byLayers: Omit<ShardOptions, 'hosts'> = {
  layers: true,
  weights: [1, 0],
  memory: 125_000,
};

/** The bytes that a plan says of each line of a model. */
export function linesOf({ plan, moved }: ShardedModel) {
  const lines = plan.transfers.flatMap(({ hops }) => hops.flat());
  return moved.map(({ from, to }) => {
    const own = lines.filter((line) => line.from === from && line.to === to);
    return { from, to, bytes: own.reduce((sum, { bytes }) => sum + bytes, 0) };
  });
}

/** A model that notes the bytes of each run, by line. */
export function noting(model: ShardedModel) {
  const runs: ShardedModel['moved'][] = [];
  const run: ShardedModel['run'] = async (feeds) => {
    const before = model.moved;
    const results = await model.run(feeds);
    runs.push(
      model.moved.map((line, at) => ({ ...line, bytes: line.bytes - (before[at] as typeof line).bytes })),
    );
    return results;
  };
  return { run, runs };
}

/** The largest difference of two tensors, relative to the largest value. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let [off, most] = [0, 0];
  for (let at = 0; at < b.length; at += 1) {
    off = Math.max(off, Math.abs((a[at] as number) - (b[at] as number)));
    most = Math.max(most, Math.abs(b[at] as number));
  }
  return off / most;
}
