/** The host's log. Each event is one line with a constant message and fields. No field holds a secret. */
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

/** The longest text from a peer in a line, in characters. */
const LONGEST = 300;

/** A peer's text, cut for a line of the log. */
export function brief(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}...`;
}

/**
 * The part of a session's id that a log may show: enough to find the session's lines. The whole id would let its
 * reader resume the session.
 */
export function shortId(sessionId: string): string {
  return sessionId.slice(0, 6);
}
