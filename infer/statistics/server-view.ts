import type { IndexEntry } from '../service/service.js';
import type { HostState, LaneState, QueueState } from '../service/state.js';
import type { Rates, SecondView } from './history.js';
import type { PartTimes } from './parts.js';
import type { Outcome } from './request-record.js';
import type { TimesView } from './request-times.js';

/** The state of an inference server, as its page and `farlight top` read it. A tenant is shown its own alone. */
export interface ServerView {
  /** The name that the server gives for itself. */
  readonly name: string;
  readonly version: string;
  /** The addresses for clients. */
  readonly urls: readonly string[];
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly now: number;
  /** Every model can answer. */
  readonly ready: boolean;
  /** The tenant whose requests these are; left out where they are of all tenants. */
  readonly tenant?: string;
  readonly models: readonly IndexEntry[];
  /** Requests that wait or run. */
  readonly open: number;
  /** Since the start. */
  readonly totals: { readonly requests: number; readonly failed: number };
  readonly rates: Rates;
  readonly times: readonly TimesView[];
  /** The last requests that ended, the newest first. */
  readonly recent: readonly RequestView[];
  /** Left out for a tenant: it is of all of them. */
  readonly all?: AllView;
}

/** The part of the state that is of all tenants: for the owner. */
export interface AllView {
  /** About how many milliseconds of work wait. */
  readonly backlog: number;
  readonly queues: readonly QueueState[];
  readonly hosts: readonly HostState[];
  readonly lanes: readonly LaneState[];
  readonly tenants: readonly TenantView[];
}

export interface TenantView {
  readonly tenant: string;
  readonly open: number;
  readonly requests: number;
  readonly failed: number;
}

/** A request that has ended. */
export interface RequestView {
  /** Counts the requests since the start. */
  readonly number: number;
  readonly model: string;
  readonly version: string;
  readonly tenant: string;
  readonly protocol: 'http' | 'grpc';
  /** When it came, in milliseconds since 1970, and how long it took. */
  readonly at: number;
  readonly ms: number;
  readonly outcome: Outcome;
  /** Why it has no result; else empty. */
  readonly why: string;
  readonly parts: PartTimes;
  /** How many runs had its items; for the owner also the largest batch among them, and the lanes. */
  readonly runs: number;
  readonly largest: number;
  readonly lanes: readonly string[];
}

/** An event of `/events`: the server's current state, and the seconds that are new or have changed. */
export interface ServerEvent {
  readonly server: ServerView;
  readonly seconds: readonly SecondView[];
}
