import type { Span } from '../../proto/activity.js';
import type { AdapterDescription, SessionOver, Traffic } from '../../proto/handshake.js';
import type { Work } from '../../proto/work.js';
import type { ExecutorCensus } from '../daemon/executors/executor-pool.js';
import type { Counters } from './counters.js';

/*
 * What the host's owner is shown of it, as JSON: the page and `farlight top` read it. No secret is in it; a session is
 * known by the first letters of its id. Times are milliseconds since 1970, rates are per second over the last seconds.
 */

/** What happens per second. */
export interface Rates {
  submits: number;
  waits: number;
  bytesUp: number;
  bytesDown: number;
}

/** A session that is open. */
export interface SessionView {
  session: string;
  /** As its client calls it: any text. */
  program: string;
  tenant: string;
  /** Empty while its GPU is being opened. */
  adapter: string;
  since: number;
  /** How often its client has come back on another connection. */
  resumes: number;
  rates: Rates;
  traffic: Traffic;
  work: Work;
}

/** A session that has ended, and why. */
export interface EndView {
  session: string;
  program: string;
  tenant: string;
  code: SessionOver['code'];
  why: string;
  at: number;
  seconds: number;
  bytesUp: number;
  bytesDown: number;
  submits: number;
}

/** What is kept of a tenant's uploads. */
export interface BlobsView {
  /** Undefined where the host has not met the tenant since it started. */
  tenant: string | undefined;
  count: number;
  bytes: number;
}

/** What all sessions since the host's start have carried and done. */
export type Totals = Traffic & Work;

export interface HostView {
  version: string;
  /** Where clients connect; without a token. */
  url: string;
  adapter: AdapterDescription | undefined;
  /** Why no GPU can be opened; empty where one can. */
  adapterProblem: string;
  startedAt: number;
  now: number;
  counters: Counters;
  executors: ExecutorCensus;
  rates: Rates;
  totals: Totals;
  /** The oldest first. */
  sessions: SessionView[];
  /** The newest first. */
  ends: EndView[];
  /** Undefined where nothing is kept. */
  blobs: BlobsView[] | undefined;
}

/** What happened in a second, which is named by its number since 1970. */
export interface SecondView extends Rates {
  second: number;
}

/** What a session that is watched did. */
export interface SpansView {
  spans: readonly Span[];
  /** How many before them were left out. */
  left: number;
}
