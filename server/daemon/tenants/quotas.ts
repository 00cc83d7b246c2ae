import type { SessionEnd } from '../../../proto/handshake.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import { statedLimits, type TenantLimits } from '../../trust/tenant-limits.js';

/** What one session may have waiting at the host, in bytes. */
export interface Buffers {
  /** Of commands that were received and not executed. */
  commands: number;
  /** Of replies that the client has not taken, before no more commands are executed. */
  replies: number;
}

/** What a session has where its tenant has no limit, and the least with which one can work. */
const MOST_BUFFERS: Buffers = { commands: LIMITS.windowBytes, replies: LIMITS.windowBytes };
const LEAST_BYTES: number = LIMITS.leastWindowBytes;

/** What tenants may have: as the host's owner has said for all of them, or for one. */
export class Quotas {
  readonly #limitsOf: (tenant: string) => TenantLimits;
  readonly #defaults: TenantLimits;

  /** `own` are the limits of a tenant's own; read at each use, since they may change while the host runs. */
  constructor(defaults: TenantLimits, own: (tenant: string) => TenantLimits = () => ({})) {
    this.#defaults = defaults;
    this.#limitsOf = own;
  }

  of(tenant: string): TenantLimits & { gpuShare: number } {
    const own = this.#limitsOf(tenant);
    const limits = { ...statedLimits(this.#defaults), ...statedLimits(own) };
    return { ...limits, gpuShare: limits.gpuShare ?? 1 };
  }

  /**
   * What another session of a tenant may have waiting, beside those that there are: all that a session ever needs,
   * or half of what is left, so that something is left for the next one.
   *
   * @returns why there can be none, where that is so.
   */
  admit(tenant: string, present: readonly Buffers[]): Buffers | SessionEnd {
    const { sessions, inFlight } = this.of(tenant);
    if (sessions !== undefined && present.length >= sessions) {
      return busy(
        `the tenant ${tenant} may have ${sessions} sessions at a time at this host, and has them`,
        '--max-sessions',
      );
    }
    if (inFlight === undefined) return MOST_BUFFERS;
    const left = present.reduce((sum, { commands, replies }) => sum - commands - replies, inFlight);
    if (left < 2 * LEAST_BYTES) {
      return busy(
        `what the tenant ${tenant} may have waiting at this host, ${inFlight} bytes, is taken by its other sessions`,
        '--in-flight',
      );
    }
    const each = Math.min(LIMITS.windowBytes, Math.max(LEAST_BYTES, Math.floor(left / 4)));
    return { commands: each, replies: each };
  }
}

function busy(what: string, flag: string): SessionEnd {
  return {
    code: 'BUSY',
    message: `${what}; end one of them, or ask the host's owner for more (${flag})`,
  };
}
