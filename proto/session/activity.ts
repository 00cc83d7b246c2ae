/**
 * What an executor can tell of what it does: a span each, with its kind. `number` counts within the kind, from 1
 * on, so that a client can find what the span belongs to.
 *
 * - `received`: a batch came in, from its first frame to its last. `number` is the batch's, `bytes` its length.
 * - `executed`: a batch was carried out, as far as it did not have to wait. `number`, `bytes` as above.
 * - `awaited`: an awaited command, from when it was carried out to its answer. `number` is its serial.
 * - `compiled`: a shader module or pipeline was made. 0 as `number`.
 * - `gpu`: the GPU was busy with what was submitted. 0 as `number`.
 * - `sent`: a frame of replies left. `number` is the frame's, `bytes` its length.
 * - `clock`: an answer to `readClock`. `number` is what was asked with.
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

/** Something that took time. */
export interface Span {
  readonly kind: SpanKind;
  /** The operation, such as `GPUBuffer.mapAsync`, or the interface of what was made; empty for other kinds. */
  readonly name: string;
  /** The label that the program gave to what it was about, or an empty string. */
  readonly label: string;
  /** Milliseconds since 1970, of a clock that never goes back: the executor's. */
  readonly start: number;
  readonly end: number;
  readonly number: number;
  readonly bytes: number;
}
