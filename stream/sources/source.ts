import { setMaxListeners } from 'node:events';
import { pause } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import type { NewRecord } from '../log/record-log.js';

/** A source is started with this: where its records go, and how far it had read. */
export interface Feed {
  /** Resolves with the record's offset once it is logged. @throws Error where it cannot be (rejects) */
  ingest(record: NewRecord): Promise<number>;
  /** By key, the position of the last record. */
  readonly positions: ReadonlyMap<string, unknown>;
  /** How many records were logged and have not begun: a source that can wait does so. */
  readonly backlog: () => number;
}

/** A source that runs until it is closed. */
export interface Source {
  close(): Promise<void>;
}

/** How many records may wait before a source that can wait does so. */
const MOST_WAITING = 256;
const LOOK_MS = 5;

/** Runs `act` until it ends or the signal aborts. Its error goes to `fail`. */
export function started(act: (signal: AbortSignal) => Promise<void>, fail: (error: Error) => void): Source {
  const stop = new AbortController();
  // A folder of WAV files has a listener for each.
  setMaxListeners(0, stop.signal);
  const done = act(stop.signal).catch((error) => {
    if (!stop.signal.aborted) fail(new Error(messageOf(error), { cause: error }));
  });
  return {
    async close() {
      stop.abort();
      await done;
    },
  };
}

/** Waits while too many records of this source wait. */
export async function roomIn({ backlog }: Feed, signal: AbortSignal): Promise<void> {
  while (backlog() >= MOST_WAITING && !signal.aborted) await pause(LOOK_MS, signal);
}
