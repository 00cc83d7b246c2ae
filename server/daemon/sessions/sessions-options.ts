import type { SessionEnd, Silence, VersionRange } from '../../../proto/handshake.js';
import type { Counters } from '../../observatory/counters.js';
import type { Log } from '../../observatory/log.js';
import type { Observatory } from '../../observatory/observatory.js';
import type { RefusalLog } from '../../observatory/session-log.js';
import type { Admission } from '../../trust/admission.js';
import type { Bridges } from '../door/bridges.js';
import type { ExecutorPool } from '../executors/executor-pool.js';
import type { Quotas } from '../tenants/quotas.js';
import type { Shares } from '../tenants/shares.js';
import type { TenantContents } from '../tenants/tenant-contents.js';

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
