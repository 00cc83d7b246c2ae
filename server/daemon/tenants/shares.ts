import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import type { TenantMemory } from '../../../proto/session/memory.js';
import type { MemoryGrant, ShareCommand, ShareReport } from '../../../proto/session/shares.js';
import { type GpuLimits, GpuMemoryShares } from './gpu-memory-shares.js';
import { GpuTurns } from './gpu-turns.js';
import type { Quotas } from './quotas.js';

/** The executor of a session, which receives the session's shares. */
export interface Shareholder {
  tell(command: ShareCommand): void;
}

/** How often a session that watches its memory is told of a change at most, in milliseconds. */
const TELL_MS = 100;

/** Divides the GPU: its memory among tenants and their sessions, and its time among tenants. */
export class Shares {
  readonly #memory: GpuMemoryShares<Shareholder>;
  readonly #turns: GpuTurns<Shareholder>;
  /** The sessions that watch the memory of their tenant, each with the last message to it. */
  readonly #watchers = new Map<Shareholder, { readonly tenant: string; told: string }>();
  #telling: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(quotas: Quotas, capacity: GpuLimits) {
    this.#memory = new GpuMemoryShares<Shareholder>({
      limits: capacity,
      grant: (holder, grant) => holder.tell({ type: 'memory', ...grant }),
      reclaim: (holder) => holder.tell({ type: 'reclaim' }),
    });
    this.#turns = new GpuTurns<Shareholder>({
      weightOf: (tenant) => quotas.of(tenant).gpuShare,
      turn: (holder, ms) => holder.tell({ type: 'turn', ms }),
      yield: (holder) => holder.tell({ type: 'yield' }),
    });
  }

  /** A session begins. Returns the GPU memory that it may have before it asks. */
  open(holder: Shareholder, tenant: string): MemoryGrant {
    const grant = this.#memory.open(holder, tenant);
    this.#tellSoon();
    return grant;
  }

  /** An executor asks for its session's share, or gives some back. */
  receive(holder: Shareholder, tenant: string, report: ShareReport): void {
    if (report.type === 'wantMemory') this.#memory.want(holder, report.bytes);
    else if (report.type === 'keepMemory') this.#memory.kept(holder, report.bytes);
    else if (report.type === 'readMemory') this.#tell(holder, tenant);
    else if (report.type === 'watchMemory') this.#follow(holder, tenant, report.on);
    else if (report.type === 'wantTurn') this.#turns.want(holder, tenant, monotonicNow());
    else this.#turns.ended(holder, report.ms, monotonicNow());
    this.#watch();
    this.#tellSoon();
  }

  /** The session uses or has reserved so many bytes of GPU memory. */
  claims(holder: Shareholder, bytes: number): void {
    if (this.#memory.claims(holder, bytes)) this.#tellSoon();
  }

  /** The limits have changed. */
  look(): void {
    this.#memory.look();
    this.#tellSoon();
  }

  /** The session has ended: it gets no more turns. */
  over(holder: Shareholder): void {
    this.#watchers.delete(holder);
    this.#turns.gone(holder, monotonicNow());
    this.#watch();
    this.#tellSoon();
  }

  /** The executor has cleared up after the session, or has exited: the session's memory is free. */
  released(holder: Shareholder): void {
    this.#watchers.delete(holder);
    this.#memory.gone(holder);
    this.#tellSoon();
  }

  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#telling);
    this.#watchers.clear();
  }

  #follow(holder: Shareholder, tenant: string, on: boolean): void {
    if (on) this.#watchers.set(holder, { tenant, told: this.#tell(holder, tenant) });
    else this.#watchers.delete(holder);
  }

  /** Tells a session what its tenant may have. Returns that as a text, to compare. */
  #tell(holder: Shareholder, tenant: string): string {
    // A limit that the owner has set meanwhile holds from now on.
    this.#memory.look();
    const told = this.#tenantMemory(holder, tenant);
    holder.tell({ type: 'tenantMemory', ...told });
    return JSON.stringify(told);
  }

  #tenantMemory(holder: Shareholder, tenant: string): TenantMemory {
    const { limit = Number.POSITIVE_INFINITY, ...others } = this.#memory.outlook(holder) ?? {};
    return {
      others: 0,
      reclaimable: 0,
      ...others,
      limit: Number.isFinite(limit) ? limit : undefined,
      queue: this.#turns.waiting(tenant),
    };
  }

  /** Tells the sessions that watch, once for all changes of a while. */
  #tellSoon(): void {
    if (this.#watchers.size === 0 || this.#telling) return;
    this.#telling = setTimeout(() => {
      this.#telling = undefined;
      for (const [holder, watcher] of this.#watchers) {
        const told = JSON.stringify(this.#tenantMemory(holder, watcher.tenant));
        if (told !== watcher.told) watcher.told = this.#tell(holder, watcher.tenant);
      }
    }, TELL_MS).unref();
  }

  /** Wakes the turns when the passing of time may change something. */
  #watch(): void {
    clearTimeout(this.#timer);
    const { lookAt } = this.#turns;
    if (lookAt === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#turns.look(monotonicNow());
        this.#watch();
      },
      Math.max(1, lookAt - monotonicNow()),
    ).unref();
  }
}
