import { isMainThread } from 'node:worker_threads';
import type { ParsedOptions } from '../options.js';
import { takeToken } from '../run-tokens.js';
import { observeTogether, type SessionObserver } from '../session/observer.js';
import type { Session } from '../session/session.js';
import type { Transport } from '../transport/transport.js';
import { type LinkObserver, observedTransport } from './observed-transport.js';
import { Telemetry } from './open-telemetry.js';
import { ShownProgress } from './progress/show-progress.js';
import { recordSession } from './recording/record-session.js';
import { traceSession } from './trace/trace-session.js';

/** The observers of a session, by the options of the program and its user. */
export interface SessionObservers {
  readonly transport: (signal: AbortSignal) => Promise<Transport>;
  readonly observer: SessionObserver | undefined;
  /** The session uses nothing that the host has from earlier. */
  readonly fresh: boolean;
  attach(session: Session): void;
}

/** @throws FarlightError BAD_OPTION if a file that the program asks for cannot be made. */
export function observersFor({ transport, trace, record, progress }: ParsedOptions): SessionObservers {
  const traced = trace && traceSession(trace.path, trace);
  // A recording must hold only the program's own commands, and a trace asks the host for more than progress
  // does.
  const shown = progress && isMainThread && !traced && !record ? new ShownProgress() : undefined;
  const telemetry = new Telemetry();
  // Made when the session opens: if the file cannot be made, the session does not open.
  const observe = (): LinkObserver | undefined =>
    traced?.observe() ?? (record && recordSession(record.path, record));
  const observers = [traced?.observer, shown?.observer, telemetry].filter((each) => each !== undefined);
  return {
    transport: async (signal) => {
      takeToken('unasked');
      const way = await transport(signal);
      telemetry.target = way.target;
      const observer = observe();
      return observer ? observedTransport(way, observer) : way;
    },
    observer: observeTogether(observers),
    fresh: record !== undefined,
    attach(session) {
      traced?.attach(session);
      shown?.attach(session);
    },
  };
}
