/** When recorded commands leave. */
export type FlushTime =
  /** At once. */
  | 'now'
  /** When the current job ends and its promise reactions begin: later calls of the same job join it. */
  | 'microtask'
  /** When the current task is over. */
  | 'task';

/** The kind of the last recorded command. */
export type Recorded = 'configuration' | 'submit' | 'awaited';

/** The commands that are recorded and have not left. */
export interface Recording {
  readonly length: number;
  readonly commands: number;
}

/** A submit with this many commands in the flush is worth a message of its own: the GPU can start on it. */
const SUBMIT_COMMANDS = 256;
/** Or with this many bytes. */
const SUBMIT_BYTES = 2 << 10;
/** Configuration alone leaves at this size, so that the host works while the client goes on. */
const FLUSH_BYTES = 64 << 10;
/** Or with this many commands, however short they are. */
const FLUSH_COMMANDS = 2048;

/**
 * Decides when recorded commands leave, by the last one and by their amount. An awaited command or a submit leaves with
 * the current job. Configuration can wait for more commands.
 */
export function flushAfter(recorded: Recorded, { length, commands }: Recording): FlushTime {
  if (length >= FLUSH_BYTES || commands >= FLUSH_COMMANDS) return 'now';
  if (recorded === 'submit' && (length >= SUBMIT_BYTES || commands >= SUBMIT_COMMANDS)) return 'now';
  return recorded === 'configuration' ? 'task' : 'microtask';
}
