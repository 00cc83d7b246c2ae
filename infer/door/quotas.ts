import type { TenantLimits } from '../../server/trust/tenant-limits.js';
import { InferenceError } from '../service/service.js';

/** The limits of a tenant that bound its requests. */
export type InferenceLimits = Pick<TenantLimits, 'waiting' | 'inFlight'>;

/** Seconds after which one of the tenant's requests may have ended. */
const RETRY_AFTER = 1;

/** The requests that one tenant has here now, and their bytes. */
interface Use {
  requests: number;
  bytes: number;
}

/** One request, as it counts for its tenant. */
export interface QuotaUse {
  /** Counts bytes of the request. @throws InferenceError quota; too-large where the request alone has more than there may be */
  take(bytes: number): void;
  /** The request has ended. */
  end(): void;
}

/** Holds each tenant to its limits: how many requests, and how many bytes of them, are here at a time. */
export class Quotas {
  readonly #defaults: InferenceLimits;
  readonly #own: (tenant: string) => TenantLimits;
  readonly #uses = new Map<string, Use>();

  /**
   * @param defaults for all tenants.
   * @param own gives a tenant's own limits; called at each use, since they may change.
   */
  constructor(defaults: InferenceLimits = {}, own: (tenant: string) => TenantLimits = () => ({})) {
    this.#defaults = defaults;
    this.#own = own;
  }

  /** The tenant's weight when tenants share the lanes' time. */
  shareOf(tenant: string): number {
    return this.#own(tenant).gpuShare ?? 1;
  }

  /** A request of the tenant begins. @throws InferenceError quota */
  begin(tenant: string): QuotaUse {
    const own = this.#own(tenant);
    const { waiting = this.#defaults.waiting, inFlight = this.#defaults.inFlight } = own;
    const use = this.#uses.get(tenant) ?? { requests: 0, bytes: 0 };
    if (waiting !== undefined && use.requests >= waiting) {
      throw exceeded(`the tenant ${tenant} may have ${waiting} requests at a time here`, '--max-waiting');
    }
    this.#uses.set(tenant, use);
    use.requests += 1;
    let taken = 0;
    let ended = false;
    return {
      take(bytes) {
        if (ended) return;
        if (inFlight !== undefined && taken + bytes > inFlight) throw tooLong(tenant, inFlight);
        if (inFlight !== undefined && use.bytes + bytes > inFlight) {
          throw exceeded(`the tenant ${tenant} may have ${inFlight} bytes of requests here`, '--in-flight');
        }
        use.bytes += bytes;
        taken += bytes;
      },
      end: () => {
        if (ended) return;
        ended = true;
        use.requests -= 1;
        use.bytes -= taken;
        if (use.requests === 0) this.#uses.delete(tenant);
      },
    };
  }
}

/** No other request has to end for it: to ask again would not help. */
function tooLong(tenant: string, most: number): InferenceError {
  return new InferenceError(
    'too-large',
    `the request is longer than the ${most} bytes of requests that the tenant ${tenant} may have here; send less at a time, or ask the server's owner for more (--in-flight)`,
  );
}

function exceeded(limit: string, flag: string): InferenceError {
  const sentence = `${limit}, and has them; ask again when one has ended, or ask the server's owner for more (${flag})`;
  return new InferenceError('quota', sentence, { retryAfter: RETRY_AFTER });
}
