import type { SessionEnd, Silence, VersionRange } from '../../proto/handshake.js';
import type { Observatory } from '../page/observatory.js';
import type { Admission } from './admission.js';
import type { Bridges } from './bridges.js';
import type { Counters } from './counters.js';
import type { ExecutorPool } from './executor-pool.js';
import type { TenantContents } from './kept-contents.js';
import type { Log } from './log.js';
import type { Quotas } from './quotas.js';
import type { RefusalLog } from './session-log.js';
import type { Shares } from './shares.js';

export interface SessionsOptions {
  versions: VersionRange;
  pool: ExecutorPool;
  /** Absent where the executors keep none. */
  contents: TenantContents | undefined;
  counters: Counters;
  admission: Admission;
  /** What makes plain sockets of connections that cannot be handed over as they are; absent where all can. */
  bridges(): Bridges | undefined;
  /** How long a session outlives its connection, in milliseconds. */
  resumeMs: number;
  /** When a client is taken for gone; absent where the executors decide. */
  silence?: Silence | undefined;
  /** How long the GPU may take for what a session submitted, in milliseconds; 0: as long as it likes. */
  gpuMs: number;
  /** Whether sessions of other tenants may use the GPU at the same time. */
  manyTenants: boolean;
  /** How many sessions may have a process at a time, of all tenants. */
  mostSessions: number;
  quotas: Quotas;
  shares: Shares;
  log: Log;
  observatory: Observatory;
  refusals: RefusalLog;
  /** Why no further session is taken, if none is. */
  refusal(): SessionEnd | undefined;
}
