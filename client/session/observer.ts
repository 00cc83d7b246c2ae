import type { Welcome } from '../../proto/session/handshake.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { SpanReport } from '../../proto/wire/span-report.js';

/** A reply that the program awaits. */
export interface Wait {
  readonly operation: AnyOperation;
  /** The label of the command's object, or an empty string. */
  readonly label: string;
}

/** A flush that leaves. */
export interface SentFlush {
  /** When the session began to put it together. */
  readonly start: number;
  readonly commands: number;
  readonly bytes: number;
}

/** Watches a session. The functions need no `this`. An absent function is not called, and costs nothing. */
export interface SessionObserver {
  /** The host accepted the session. */
  welcomed?(welcome: Welcome): void;
  /** A command of the program was recorded. */
  recorded?(operation: AnyOperation): void;
  /** The clock of the times in `flushed` and `called`, in milliseconds. */
  now?(): number;
  /** A call of a WebGPU method began at `start` and ends now. `about` is the object of the call, or the new object. */
  called?(name: string, start: number, about: unknown): void;
  /** The program awaits a reply. The returned function is called once, when it settles, with the error if it fails. */
  awaited?(wait: Wait): (error?: Error) => void;
  flushed?(flush: SentFlush): void;
  activity?(report: SpanReport): void;
}

/** One observer for several. */
export function observeTogether(observers: readonly SessionObserver[]): SessionObserver | undefined {
  if (observers.length < 2) return observers[0];
  /** The functions of this name, of the observers that have one. */
  const all = <K extends keyof SessionObserver>(key: K): NonNullable<SessionObserver[K]>[] =>
    observers.flatMap((each) => each[key] ?? []) as NonNullable<SessionObserver[K]>[];
  const together: SessionObserver = {};
  const [now] = all('now');
  const [welcomed, recorded, called] = [all('welcomed'), all('recorded'), all('called')];
  const [flushed, activity, awaited] = [all('flushed'), all('activity'), all('awaited')];
  if (now) together.now = now;
  if (welcomed.length > 0) together.welcomed = (welcome) => welcomed.forEach((tell) => void tell(welcome));
  if (recorded.length > 0)
    together.recorded = (operation) => recorded.forEach((tell) => void tell(operation));
  if (called.length > 0) together.called = (...call) => called.forEach((tell) => void tell(...call));
  if (flushed.length > 0) together.flushed = (flush) => flushed.forEach((tell) => void tell(flush));
  if (activity.length > 0) together.activity = (report) => activity.forEach((tell) => void tell(report));
  if (awaited.length > 0) {
    together.awaited = (wait) => {
      const settle = awaited.map((tell) => tell(wait));
      return (error) => settle.forEach((tell) => void tell(error));
    };
  }
  return together;
}
