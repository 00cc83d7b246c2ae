import { PARTS, type Part, type RequestSpan } from '../service/request-span.js';

/** Milliseconds of each part. */
export type PartTimes = Readonly<Record<Part, number>>;

/** Of parts that overlap, the first one here has the time. */
const RANKS: Readonly<Record<Part, number>> = {
  gpu: 0,
  function: 1,
  move: 2,
  load: 3,
  answer: 4,
  batch: 5,
  queue: 6,
  receive: 7,
};
const BY_RANK = [...PARTS].sort((a, b) => RANKS[a] - RANKS[b]);

/**
 * Divides the time of a request among its parts, so that their sum is all of it. Steps of a graph run beside each other:
 * then the work counts, and not the step that waits meanwhile. A time without any span counts as the queue.
 */
export function partsOf(spans: readonly RequestSpan[], from: number, to: number): PartTimes {
  const edges: { at: number; part: Part; change: 1 | -1 }[] = [];
  for (const { part, from: begins, to: ends } of spans) {
    const [first, last] = [Math.max(from, begins), Math.min(to, ends)];
    if (last <= first) continue;
    edges.push({ at: first, part, change: 1 }, { at: last, part, change: -1 });
  }
  edges.sort((a, b) => a.at - b.at);
  const times = noTimes();
  const open = noTimes();
  let at = from;
  for (const edge of [...edges, { at: to, part: 'queue', change: 1 } as const]) {
    const part = BY_RANK.find((each) => open[each] > 0) ?? 'queue';
    times[part] += Math.max(0, edge.at - at);
    at = Math.max(at, edge.at);
    open[edge.part] += edge.change;
  }
  return times;
}

export function noTimes(): Record<Part, number> {
  return { receive: 0, queue: 0, batch: 0, load: 0, move: 0, gpu: 0, function: 0, answer: 0 };
}
