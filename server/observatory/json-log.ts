import { destination, pino, stdTimeFunctions } from 'pino';
import { harmlessJson } from '../../proto/harmless.js';
import type { Log, LogLevel } from './log.js';

/** How many bytes may wait for a reader of stderr. Beyond that lines are lost, and the host continues. */
const WAITING_BYTES = 1 << 20;

/**
 * A log of JSON lines on stderr. Each has `level`, `time` (ISO 8601, UTC) and `msg`, and no terminal control characters.
 * A line that cannot be written, for example on a full disk, is lost, and the host continues.
 */
export function jsonLog(level: LogLevel): Log {
  const stderr = destination({ fd: 2, sync: false, maxLength: WAITING_BYTES });
  stderr.on('error', () => {
    // At exit, pino would retry without end to write the rest.
    stderr.flushSync = () => {};
  });
  return pino(
    {
      level,
      // The collector of the lines knows the process and the machine.
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => stderr.write(harmlessJson(line)) },
  );
}
