import type { AdapterDescription } from '../../proto/session/handshake.js';
import type { Traffic, WorkCounts } from '../../proto/session/session-counts.js';
import type { SessionEnded } from '../../proto/session/session-end.js';
import type { Span } from '../../proto/session/spans.js';

import type { Counters } from './counters.js';

/*
 * The JSON that the page and `farlight top` read. It holds no secret: of a session's id it has only the first letters.
 * Times are milliseconds since 1970. Rates are per second, over the last seconds.
 */

/** How many executor processes there are, by state. */
export interface ExecutorCensus {
  busy: number;
  spare: number;
  warm: number;
  /** Starting, compiling ahead, clearing up or ending. */
  changing: number;
}

/** Amounts per second. */
export interface Rates {
  submits: number;
  waits: number;
  bytesUp: number;
  bytesDown: number;
}

/** An open session. */
export interface SessionView {
  session: string;
  /** The client's name for the program: any text. */
  program: string;
  tenant: string;
  /** Empty while the GPU is still opening. */
  adapter: string;
  since: number;
  /** Since when it is parked, and the bytes that it takes on disk. Undefined where it is not. */
  parked: { since: number; bytes: number } | undefined;
  /** How many times the client has resumed it on another connection. */
  resumes: number;
  rates: Rates;
  traffic: Traffic;
  work: WorkCounts;
}

/** An ended session, and why it ended. */
export interface EndView {
  session: string;
  program: string;
  tenant: string;
  code: SessionEnded['code'];
  why: string;
  at: number;
  seconds: number;
  bytesUp: number;
  bytesDown: number;
  submits: number;
}

/** The contents that the host keeps for a tenant. */
export interface ContentsView {
  /** Undefined where the host has not met the tenant since it started. */
  tenant: string | undefined;
  count: number;
  bytes: number;
}

/** The GPU's memory, in bytes. */
export interface GpuMemoryView {
  /** Undefined where nothing tells. */
  total: number | undefined;
  /** The bytes that all sessions may have together; undefined where nothing limits it. */
  capacity: number | undefined;
  /** Where the figures are from, or why there are none. */
  source: string;
}

/** The sums over all sessions since the host started. */
export type Totals = Traffic & WorkCounts;

export interface HostView {
  version: string;
  /** The address for clients, without a token. */
  url: string;
  adapter: AdapterDescription | undefined;
  /** Why no GPU can be opened; empty where one is open. */
  adapterProblem: string;
  gpuMemory: GpuMemoryView;
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
  contents: ContentsView[] | undefined;
}

/** The amounts of one second. `second` counts from 1970. */
export interface SecondView extends Rates {
  second: number;
}

/** New spans of a session that somebody watches. */
export interface SpansView {
  spans: readonly Span[];
  /** How many earlier spans were left out. */
  left: number;
}
