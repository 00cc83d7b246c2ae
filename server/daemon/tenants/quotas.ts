import type { SessionEnd } from '../../../proto/session/session-end.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import { statedLimits, type TenantLimits } from '../../trust/tenant-limits.js';

/** How many bytes of one session may wait at the host. */
export interface Buffers {
  /** Of commands that the executor has received and not executed. */
  commands: number;
  /** Of replies that the client has not received. With more, the executor executes no more commands. */
  replies: number;
}

/** The buffers of a session whose tenant has no limit, and the smallest with which a session works. */
const MOST_BUFFERS: Buffers = { commands: LIMITS.windowBytes, replies: LIMITS.windowBytes };
const LEAST_BYTES: number = LIMITS.leastWindowBytes;

/** The limits of each tenant: the owner's for all tenants, and those for one. */
export class Quotas {
  readonly #limitsOf: (tenant: string) => TenantLimits;
  readonly #defaults: TenantLimits;

  /** @param own gives a tenant's own limits; called at each use, since they may change while the host runs. */
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
   * The buffers of a tenant's next session, given those of its open ones: the most that a session needs, or half of the
   * tenant's rest, so that something is left for the session after it.
   *
   * @returns the reason instead, where the tenant may open no session.
   */
  admit(tenant: string, present: readonly Buffers[]): Buffers | SessionEnd {
    const { sessions, inFlight } = this.of(tenant);
    if (sessions !== undefined && present.length >= sessions) {
      return busy(
        `the tenant ${tenant} may have ${sessions} open sessions at this host, and has them`,
        '--max-sessions',
      );
    }
    if (inFlight === undefined) return MOST_BUFFERS;
    const left = present.reduce((sum, { commands, replies }) => sum - commands - replies, inFlight);
    if (left < 2 * LEAST_BYTES) {
      return busy(
        `the tenant ${tenant} may have ${inFlight} bytes waiting at this host, and its other sessions take them`,
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
