/** Where a host writes what happens to it: a line for each, of fields and a constant message. No secrets. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const nothing = () => {};

export const SILENT: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What is written of a text that somebody else has chosen, in characters. */
const LONGEST = 300;

/** A text of a peer's, no longer than a line should be. */
export function brief(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}...`;
}

/**
 * What is written of a session's id: enough to find its lines by. Who knows all of it can go on with the
 * session.
 */
export function shortId(sessionId: string): string {
  return sessionId.slice(0, 6);
}
