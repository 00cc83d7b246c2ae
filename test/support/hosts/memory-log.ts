import type { Log } from '#farlight/server/observatory/log.js';

/** A line of a host's log, as fields. */
export type Noted = Record<string, unknown> & { level: string; msg: string };

/** A log that keeps its lines, as they would be written. */
export function memoryLog(): { log: Log; lines: Noted[]; of(msg: string): Noted[] } {
  const lines: Noted[] = [];
  const at = (level: string) => (fields: object, msg: string) =>
    void lines.push(JSON.parse(JSON.stringify({ level, ...fields, msg })));
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { log, lines, of: (msg) => lines.filter((line) => line.msg === msg) };
}
