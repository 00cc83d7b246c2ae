import { steadyTime } from '../../../link/machine/clock.js';
import { messageOf } from '../../../proto/errors.js';
import { harmless } from '../../../proto/harmless.js';
import type { SessionObserver } from '../../session/observer.js';
import type { Session } from '../../session/session.js';
import type { LinkObserver } from '../../transport/observed-transport.js';
import { observeCalls } from './observe-calls.js';
import { programTrace } from './program-trace.js';
import type { SessionTrace } from './session-trace.js';

/** What a session that is traced is given. */
export interface Traced {
  readonly observer: SessionObserver;
  /** Sees what passes the session's link. */
  observe(): LinkObserver;
  /** To be told of the session as soon as there is one. */
  attach(session: Session): void;
}

/** Files that could not be made, and of which that was said. */
const failed = new Set<string>();

/**
 * A trace of a session, in the file at `path`.
 *
 * @param shared Where several programs were asked for the file: it is made when this one first uses its GPU, with
 *   another name where it is there already, and where it cannot be made the program runs without. Otherwise it is made
 *   now, over what is there.
 * @throws FarlightError BAD_OPTION where it cannot be made, unless `shared`.
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
