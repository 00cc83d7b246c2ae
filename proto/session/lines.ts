/** The most lines of one session that are not closed. */
export const MOST_LINES = 64;

/** An executor's requests to the daemon for lines of its session, which the client numbers. */
export type LineReport =
  /** Another host may join the line; the daemon replies with `ticket`, and then with `line` or `noLine`. */
  | { type: 'acceptLine'; line: number }
  /** The session joins the line of another host's session; the daemon replies with `line` or `noLine`. */
  | { type: 'connectLine'; line: number; host: string; ticket: string };

/** The daemon's replies. */
export type LineCommand =
  | { type: 'ticket'; line: number; ticket: string }
  /** Comes with a socket, which carries the line. `head` has the bytes that were already read from it. */
  | { type: 'line'; line: number; head: Uint8Array }
  /** There is no line. `why` is a sentence for a person. */
  | { type: 'noLine'; line: number; why: string };
