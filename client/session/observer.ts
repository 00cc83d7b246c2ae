import type { Welcome } from '../../proto/session/handshake.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { ActivityReport } from '../../proto/wire/spans.js';

/** Something that the program awaits of the host. */
export interface Wait {
  readonly operation: AnyOperation;
  /** The label of what it is about, or an empty string. */
  readonly label: string;
}

/** A batch that leaves. */
export interface FlushedBatch {
  /** When it began to be put together. */
  readonly start: number;
  readonly commands: number;
  readonly bytes: number;
}

/** Who watches a session, by functions that need no `this`. What is absent is not told of, and costs nothing. */
export interface SessionObserver {
  /** The host accepted the session. */
  welcomed?(welcome: Welcome): void;
  /** A command of the program's was recorded. */
  recorded?(operation: AnyOperation): void;
  /** The time that `flushed` and `called` are told, in milliseconds. */
  now?(): number;
  /** The program has called a method of WebGPU, which began at `start` and ends now; `about` is what it was called on, or made. */
  called?(name: string, start: number, about: unknown): void;
  /** Something is awaited. What is returned is called once, when it is settled: with why, where it fails. */
  awaited?(wait: Wait): (error?: Error) => void;
  flushed?(batch: FlushedBatch): void;
  activity?(report: ActivityReport): void;
}

/** One observer for several. */
export function observeTogether(observers: readonly SessionObserver[]): SessionObserver | undefined {
  if (observers.length < 2) return observers[0];
  /** What those of them do that have it; undefined where none has. */
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
  if (flushed.length > 0) together.flushed = (batch) => flushed.forEach((tell) => void tell(batch));
  if (activity.length > 0) together.activity = (report) => activity.forEach((tell) => void tell(report));
  if (awaited.length > 0) {
    together.awaited = (wait) => {
      const settle = awaited.map((tell) => tell(wait));
      return (error) => settle.forEach((tell) => void tell(error));
    };
  }
  return together;
}
