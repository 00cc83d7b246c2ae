import { steadyTime } from '../../../link/machine/clock.js';
import { messageOf } from '../../../proto/errors.js';
import { harmless } from '../../../proto/harmless.js';
import type { SessionObserver } from '../../session/observer.js';
import type { Session } from '../../session/session.js';
import type { LinkObserver } from '../observed-transport.js';
import { observeCalls } from './observe-calls.js';
import { programTrace } from './program-trace.js';
import type { SessionTrace } from './session-trace.js';

/** The observers of a traced session. */
export interface Traced {
  readonly observer: SessionObserver;
  /** Sees the frames on the session's link. */
  observe(): LinkObserver;
  /** Sets the session, as soon as there is one. */
  attach(session: Session): void;
}

/** Paths of files that could not be made. Each was reported once. */
const failed = new Set<string>();

/**
 * Traces a session in the file at `path`.
 *
 * @param shared Several programs were asked for the file. It is made when this program first uses its GPU,
 *   under another name if it exists. If it cannot be made, the program runs without a trace. Otherwise the
 *   file is made now, and replaces an existing one.
 * @throws FarlightError BAD_OPTION if the file cannot be made, unless `shared`.
 */
export function traceSession(path: string, { shared }: { shared: boolean }): Traced {
  observeCalls();
  let session: Session | undefined;
  let trace: SessionTrace | undefined;
  const begin = (): SessionTrace | undefined => {
    if (trace || failed.has(path)) return trace;
    try {
      trace = programTrace(path, shared).session();
      if (session) trace.attach(session);
    } catch (error) {
      if (!shared) throw error;
      failed.add(path);
      process.stderr.write(`farlight: ${harmless(messageOf(error))}\n`);
    }
    return trace;
  };
  if (!shared) begin();
  return {
    observer: {
      now: steadyTime,
      called: (name, start, about) => begin()?.called(name, start, about),
      awaited: (wait) => begin()?.awaited(wait) ?? (() => {}),
      flushed: (flush) => begin()?.flushed(flush),
      activity: (report) => trace?.activity(report),
    },
    observe: () => begin() ?? {},
    attach(given) {
      session = given;
      trace?.attach(given);
    },
  };
}
