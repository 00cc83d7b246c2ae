/** How the scheduler weighs what waits. Times are milliseconds. */
export interface Policy {
  /** After so long a request counts twice as much as when it came. */
  readonly ageing: number;
  /** After so long a request goes before all others, and memory is kept for it. */
  readonly patience: number;
  /** A run starts so long before the GPU is expected to be free for it. */
  readonly lead: number;
  /** What an output costs that is on another lane than the run that takes it. */
  readonly msPerByteMoved: number;
  /** For about so long it counts how busy it was. */
  readonly memory: number;
  /** The most requests that wait or run at once. */
  readonly maxRequests: number;
}

export const POLICY: Policy = {
  ageing: 200,
  patience: 10_000,
  lead: 1,
  msPerByteMoved: 1e-6,
  memory: 10_000,
  maxRequests: 100_000,
};
