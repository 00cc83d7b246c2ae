/** How the scheduler weighs waiting work. Times are milliseconds. */
export interface Policy {
  /** After this time a request counts twice as much as at its arrival. */
  readonly ageing: number;
  /** After this time a request goes before all others, and the scheduler keeps memory for it. */
  readonly patience: number;
  /** Once a tenant has had so much more of the lanes' time than another tenant, the other's runs go first. */
  readonly tenantLead: number;
  /** A run starts this long before the GPU is expected to be free for it. */
  readonly lead: number;
  /** The cost of an output that is on another lane than the run that uses it. */
  readonly msPerByteMoved: number;
  /** The scheduler measures how busy it is over about this time. */
  readonly memory: number;
  /** The largest number of requests that wait or run at once. */
  readonly maxRequests: number;
}

export const POLICY: Policy = {
  ageing: 200,
  patience: 10_000,
  tenantLead: 50,
  lead: 1,
  msPerByteMoved: 1e-6,
  memory: 10_000,
  maxRequests: 100_000,
};
