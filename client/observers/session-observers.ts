import { isMainThread } from 'node:worker_threads';
import type { ParsedOptions } from '../options.js';
import { takeToken } from '../run-tokens.js';
import { observeTogether, type SessionObserver } from '../session/observer.js';
import type { Session } from '../session/session.js';
import { type LinkObserver, observedTransport } from '../transport/observed-transport.js';
import type { Transport } from '../transport/transport.js';
import { Telemetry } from './open-telemetry.js';
import { ShownProgress } from './progress/show-progress.js';
import { recordSession } from './recording/record-session.js';
import { traceSession } from './trace/trace-session.js';

/** What a session needs so that it is watched in the way that the program's user wants. */
export interface Observation {
  readonly transport: () => Promise<Transport>;
  readonly observer: SessionObserver | undefined;
  /** Nothing that the host has from earlier is made use of. */
  readonly fresh: boolean;
  attach(session: Session): void;
}

/** @throws FarlightError BAD_OPTION where a file cannot be made that the program asks for. */
export function observation({ transport, trace, record, progress }: ParsedOptions): Observation {
  const traced = trace && traceSession(trace.path, trace);
  // A recording has the program's own commands alone, and a trace asks the host for more than progress does.
  const shown = progress && isMainThread && !traced && !record ? new ShownProgress() : undefined;
  const telemetry = new Telemetry();
  // Made when the session opens: a file that cannot be made is why it does not.
  const observe = (): LinkObserver | undefined =>
    traced?.observe() ?? (record && recordSession(record.path, record));
  const observers = [traced?.observer, shown?.observer, telemetry].filter((each) => each !== undefined);
  return {
    transport: async () => {
      takeToken('unasked');
      const way = await transport();
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
