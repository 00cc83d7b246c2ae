/** When a batch leaves. */
export type Flush =
  /** At once. */
  | 'now'
  /** When the current job's promise reactions begin: calls that follow in the same breath join it. */
  | 'microtask'
  /** When the current task is over. */
  | 'task';

/** What has just been recorded. */
export type Recorded = 'configuration' | 'submit' | 'awaited';

/** A submit with this much before it is worth a message of its own: the GPU can start on it. */
const SUBMIT_BYTES = 2 << 10;
/** Configuration alone leaves at this size, so that the host works while the client goes on. */
const BATCH_BYTES = 64 << 10;

/**
 * Decides when the batch leaves, given what was recorded last and the bytes in the batch. What
 * something awaits, or what makes the GPU work, leaves with the current job; everything else can wait
 * for more.
 */
export function flushAfter(recorded: Recorded, bytes: number): Flush {
  if (bytes >= BATCH_BYTES) return 'now';
  if (recorded === 'submit' && bytes >= SUBMIT_BYTES) return 'now';
  return recorded === 'configuration' ? 'task' : 'microtask';
}
