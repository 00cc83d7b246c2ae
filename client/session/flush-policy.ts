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

/** What is in the batch. */
export interface Batch {
  readonly length: number;
  readonly commands: number;
}

/** A submit with this many commands in the batch is worth a message of its own: the GPU can start on it. */
const SUBMIT_COMMANDS = 256;
/** Or with this many bytes. */
const SUBMIT_BYTES = 2 << 10;
/** Configuration alone leaves at this size, so that the host works while the client goes on. */
const BATCH_BYTES = 64 << 10;
/** Or with this many commands, however short they are. */
const BATCH_COMMANDS = 2048;

/**
 * Decides when the batch leaves, given what was recorded last and what is in the batch. What something
 * awaits, or what makes the GPU work, leaves with the current job; everything else can wait for more.
 */
export function flushAfter(recorded: Recorded, { length, commands }: Batch): Flush {
  if (length >= BATCH_BYTES || commands >= BATCH_COMMANDS) return 'now';
  if (recorded === 'submit' && (length >= SUBMIT_BYTES || commands >= SUBMIT_COMMANDS)) return 'now';
  return recorded === 'configuration' ? 'task' : 'microtask';
}
