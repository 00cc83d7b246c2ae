/** What a host has done since it started. Bytes are those of the frames. */
export interface Counters {
  sessionsOpened: number;
  sessionsActive: number;
  sessionsRefused: number;
  /** Sessions that ended because their executor did. */
  executorsLost: number;
  /** Executors that are ready for another session of their program, each time that one became so. */
  executorsKept: number;
  /** Sessions that were given an executor that had served their program before. */
  executorsReused: number;
  framesUp: number;
  framesDown: number;
  bytesUp: number;
  bytesDown: number;
}

export function newCounters(): Counters {
  return {
    sessionsOpened: 0,
    sessionsActive: 0,
    sessionsRefused: 0,
    executorsLost: 0,
    executorsKept: 0,
    executorsReused: 0,
    framesUp: 0,
    framesDown: 0,
    bytesUp: 0,
    bytesDown: 0,
  };
}
