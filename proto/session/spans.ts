/**
 * The kinds of spans that an executor reports. `number` counts within the kind, from 1 on, so that a client finds the
 * flush, command or frame that a span belongs to.
 *
 * - `received`: a flush arrived, from its first frame to its last. `number` is that of the flush, `bytes` its length.
 * - `executed`: a flush was executed, without the time that it was held. `number` and `bytes` are as above.
 * - `awaited`: an awaited command, from its execution to its reply. `number` is its serial.
 * - `compiled`: a shader module or pipeline was made. `number` is 0.
 * - `gpu`: the GPU was busy with submitted work. `number` is 0.
 * - `sent`: a frame of replies left. `number` is that of the frame, `bytes` its length.
 * - `clock`: a reply to `readClock`. `number` is the number that the client sent.
 */
export const SPAN = {
  received: 0,
  executed: 1,
  awaited: 2,
  compiled: 3,
  gpu: 4,
  sent: 5,
  clock: 6,
} as const;

export type SpanKind = (typeof SPAN)[keyof typeof SPAN];

/** How many kinds there are. */
export const SPAN_KINDS = Object.keys(SPAN).length;

/** Some of the kinds, as a mask with a bit for each. */
export function spanMask(...kinds: readonly SpanKind[]): number {
  return kinds.reduce((mask: number, kind) => mask | (1 << kind), 0);
}

export const ALL_SPANS: number = (1 << SPAN_KINDS) - 1;

/** One stretch of time on a timeline. */
export interface Span {
  readonly kind: SpanKind;
  /** The operation, such as `GPUBuffer.mapAsync`, or the interface of the new object; empty for other kinds. */
  readonly name: string;
  /** The program's label of the object, or an empty string. */
  readonly label: string;
  /** Milliseconds since 1970, by the executor's clock, which never goes back. */
  readonly start: number;
  readonly end: number;
  readonly number: number;
  readonly bytes: number;
}
