/** When recorded commands leave. */
export type Flush =
  /** At once. */
  | 'now'
  /** When the current job ends and its promise reactions begin: later calls of the same job join it. */
  | 'microtask'
  /** When the current task is over. */
  | 'task';

/** The kind of the last recorded command. */
export type Recorded = 'configuration' | 'submit' | 'awaited';

/** The commands that are recorded and have not left. */
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
 * Decides when recorded commands leave, by the last one and by their amount. An awaited command or a submit leaves with
 * the current job. Configuration can wait for more commands.
 */
export function flushAfter(recorded: Recorded, { length, commands }: Batch): Flush {
  if (length >= BATCH_BYTES || commands >= BATCH_COMMANDS) return 'now';
  if (recorded === 'submit' && (length >= SUBMIT_BYTES || commands >= SUBMIT_COMMANDS)) return 'now';
  return recorded === 'configuration' ? 'task' : 'microtask';
}
