import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import type { ShareCommand, ShareReport } from '../../../proto/shares.js';
import { MemoryLedger } from './gpu-memory-shares.js';
import { GpuTurns } from './gpu-turns.js';
import type { Quotas } from './quotas.js';

/** Whom the shares are told to: the executor of a session. */
export interface Shareholder {
  share(command: ShareCommand): void;
}

/** Milliseconds of a steady clock. */

/** What tenants share of the GPU, its memory and its time, between their sessions and among each other. */
export class Shares {
  readonly #quotas: Quotas;
  /** By tenant. */
  readonly #ledgers = new Map<string, MemoryLedger<Shareholder>>();
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
    if (report.type === 'wantMemory') this.#ledger(tenant).want(holder, report.bytes);
    else if (report.type === 'keepMemory') this.#ledger(tenant).kept(holder, report.bytes);
    else if (report.type === 'wantTurn') this.#turns.want(holder, tenant, monotonicNow());
    else this.#turns.ended(holder, report.ms, monotonicNow());
    this.#watch();
  }

  /** The session is over: it has no more turns. */
  over(holder: Shareholder): void {
    this.#turns.gone(holder, monotonicNow());
    this.#watch();
  }

  /** Nothing of the session is left in its executor, or that is gone: its memory is free. */
  released(holder: Shareholder, tenant: string): void {
    const ledger = this.#ledgers.get(tenant);
    ledger?.gone(holder);
    if (ledger?.empty) this.#ledgers.delete(tenant);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #ledger(tenant: string): MemoryLedger<Shareholder> {
    const known = this.#ledgers.get(tenant);
    if (known) return known;
    const ledger = new MemoryLedger<Shareholder>({
      limit: () => this.#quotas.of(tenant).gpuMemory ?? Number.MAX_SAFE_INTEGER,
      grant: (holder, bytes, limit, others) => holder.share({ type: 'memory', bytes, limit, others }),
      spare: (holder) => holder.share({ type: 'spare' }),
    });
    this.#ledgers.set(tenant, ledger);
    return ledger;
  }

  /** Comes back to the turns when the time alone may change something. */
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
