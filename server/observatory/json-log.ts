import { destination, pino, stdTimeFunctions } from 'pino';
import { harmlessJson } from '../../proto/harmless.js';
import type { Log, LogLevel } from './log.js';

/** How much may wait to be written, in bytes, when nobody reads: what comes then is lost, and the host goes on. */
const WAITING_BYTES = 1 << 20;

/**
 * A log of JSON lines on stderr. Each has `level`, `time` (ISO 8601, UTC) and `msg`, and nothing that a terminal would
 * obey. Where a line cannot be written, as on a disk that is full, it is lost, and the host goes on.
 */
export function jsonLog(level: LogLevel): Log {
  const stderr = destination({ fd: 2, sync: false, maxLength: WAITING_BYTES });
  stderr.on('error', () => {
    // What is left is written when the process ends, again and again until it can be.
    stderr.flushSync = () => {};
  });
  return pino(
    {
      level,
      // The process's id and the machine's name are known to who collects the lines.
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => stderr.write(harmlessJson(line)) },
  );
}
