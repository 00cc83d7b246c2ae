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

/** Who watches a session. What is absent is not told of, and costs nothing. */
export interface SessionObserver {
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
  const having = <K extends keyof SessionObserver>(key: K) =>
    observers.filter(
      (each): each is SessionObserver & Required<Pick<SessionObserver, K>> => each[key] !== undefined,
    );
  const together: SessionObserver = {};
  const [timer] = having('now');
  const called = having('called');
  const awaited = having('awaited');
  const flushed = having('flushed');
  const activity = having('activity');
  if (timer) together.now = () => timer.now();
  if (called.length > 0) together.called = (...all) => called.forEach((each) => void each.called(...all));
  if (flushed.length > 0) together.flushed = (batch) => flushed.forEach((each) => void each.flushed(batch));
  if (activity.length > 0)
    together.activity = (report) => activity.forEach((each) => void each.activity(report));
  if (awaited.length > 0)
    together.awaited = (wait) => {
      const ends = awaited.map((each) => each.awaited(wait));
      return (error) => ends.forEach((end) => void end(error));
    };
  return together;
}
