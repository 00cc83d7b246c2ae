import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import type { ShareCommand, ShareReport } from '../../../proto/session/shares.js';
import { GpuMemoryShares } from './gpu-memory-shares.js';
import { GpuTurns } from './gpu-turns.js';
import type { Quotas } from './quotas.js';

/** The executor of a session, which receives the session's shares. */
export interface Shareholder {
  share(command: ShareCommand): void;
}

/** Divides the GPU: its memory among the sessions of a tenant, and its time among tenants. */
export class Shares {
  readonly #quotas: Quotas;
  /** By tenant. */
  readonly #memory = new Map<string, GpuMemoryShares<Shareholder>>();
  readonly #turns: GpuTurns<Shareholder>;
  #timer: NodeJS.Timeout | undefined;

  constructor(quotas: Quotas) {
    this.#quotas = quotas;
    this.#turns = new GpuTurns<Shareholder>({
      weightOf: (tenant) => quotas.of(tenant).gpuShare,
      turn: (holder, ms) => holder.share({ type: 'turn', ms }),
      yield: (holder) => holder.share({ type: 'yield' }),
    });
  }

  /** An executor asks for its session's share, or gives some back. */
  receive(holder: Shareholder, tenant: string, report: ShareReport): void {
    if (report.type === 'wantMemory') this.#memoryOf(tenant).want(holder, report.bytes);
    else if (report.type === 'keepMemory') this.#memoryOf(tenant).kept(holder, report.bytes);
    else if (report.type === 'wantTurn') this.#turns.want(holder, tenant, monotonicNow());
    else this.#turns.ended(holder, report.ms, monotonicNow());
    this.#watch();
  }

  /** The session has ended: it gets no more turns. */
  over(holder: Shareholder): void {
    this.#turns.gone(holder, monotonicNow());
    this.#watch();
  }

  /** The executor has cleared up after the session, or has exited: the session's memory is free. */
  released(holder: Shareholder, tenant: string): void {
    const memory = this.#memory.get(tenant);
    memory?.gone(holder);
    if (memory?.empty) this.#memory.delete(tenant);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #memoryOf(tenant: string): GpuMemoryShares<Shareholder> {
    const known = this.#memory.get(tenant);
    if (known) return known;
    const memory = new GpuMemoryShares<Shareholder>({
      limit: () => this.#quotas.of(tenant).gpuMemory ?? Number.MAX_SAFE_INTEGER,
      grant: (holder, bytes, limit, others) => holder.share({ type: 'memory', bytes, limit, others }),
      reclaim: (holder) => holder.share({ type: 'reclaim' }),
    });
    this.#memory.set(tenant, memory);
    return memory;
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
