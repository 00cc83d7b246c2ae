import { destination, pino, stdTimeFunctions } from 'pino';
import type { Log, LogLevel } from './log.js';

/** How much may wait to be written, in bytes, when nobody reads: what comes then is lost, and the host goes on. */
const WAITING_BYTES = 1 << 20;

/** A log of JSON lines on stderr. Each has `level`, `time` (ISO 8601, UTC) and `msg`. */
export function jsonLog(level: LogLevel): Log {
  return pino(
    {
      level,
      // The process's id and the machine's name are known to who collects the lines.
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination({ fd: 2, sync: false, maxLength: WAITING_BYTES }),
  );
}
