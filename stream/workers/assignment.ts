/** A partition, as the choice of its worker sees it. */
export interface Placed {
  /** The worker that it is assigned to; '' for none. */
  readonly assigned: string;
  /** Whether some worker owns it now. */
  readonly isOwned: boolean;
}

/**
 * The worker of each partition. Workers that are gone lose theirs at once. One that has more than its share gives back one
 * at a time: '' asks for that, and the partition is assigned again when nobody owns it. So a partition that moves is closed
 * at a checkpoint first. Pure.
 *
 * @param mayMove whether partitions of living workers may move now
 */
export function assign(partitions: readonly Placed[], living: readonly string[], mayMove: boolean): string[] {
  const workers = [...living].sort();
  const counts = new Map(workers.map((worker) => [worker, 0]));
  const assigned = partitions.map((placed) => (counts.has(placed.assigned) ? placed.assigned : ''));
  for (const worker of assigned) if (worker !== '') counts.set(worker, (counts.get(worker) ?? 0) + 1);
  const byCount = () => [...counts].sort(([, a], [, b]) => a - b);
  for (const [at, { assigned: before, isOwned }] of partitions.entries()) {
    if (assigned[at] !== '') continue;
    // It is being given back by a living worker.
    if (before === '' && isOwned) continue;
    const [least] = byCount();
    if (!least) break;
    assigned[at] = least[0];
    counts.set(least[0], least[1] + 1);
  }
  const isMoving = assigned.includes('');
  const [least, most] = [byCount()[0], byCount().at(-1)];
  if (mayMove && !isMoving && least && most && most[1] - least[1] > 1)
    assigned[assigned.lastIndexOf(most[0])] = '';
  return assigned;
}
