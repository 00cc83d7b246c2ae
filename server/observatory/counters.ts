/** Counts of a host's work since it started. `bytesUp` and `bytesDown` count frames alone. */
export interface Counters {
  sessionsOpened: number;
  sessionsActive: number;
  sessionsRefused: number;
  /** Sessions that ended because their executor exited. */
  executorsLost: number;
  /** How many times an executor became warm. */
  executorsWarmed: number;
  /** Sessions that got a warm executor. */
  executorsReused: number;
  framesUp: number;
  framesDown: number;
  bytesUp: number;
  bytesDown: number;
  /** Bytes that went over lines to other hosts, and that came from them. */
  bytesToHosts: number;
  bytesFromHosts: number;
}

export function newCounters(): Counters {
  return {
    sessionsOpened: 0,
    sessionsActive: 0,
    sessionsRefused: 0,
    executorsLost: 0,
    executorsWarmed: 0,
    executorsReused: 0,
    framesUp: 0,
    framesDown: 0,
    bytesUp: 0,
    bytesDown: 0,
    bytesToHosts: 0,
    bytesFromHosts: 0,
  };
}
