import type { Clock } from '../../../link/machine/timer.js';
import type { MemoryState, TenantMemory } from '../../../proto/session/memory.js';
import type { ShareReport } from '../../../proto/session/shares.js';
import type { GpuMemory } from './gpu-memory.js';

export interface MemoryReportsOptions {
  memory: GpuMemory;
  /** Asks the daemon what the tenant may have; `told` brings the reply. Absent where there is none. */
  ask: ((report: Extract<ShareReport, { type: 'readMemory' | 'watchMemory' }>) => void) | undefined;
  /** Finds how much memory the GPU has, where there is no daemon. Undefined where nothing tells. It may start a process. */
  find(): Promise<number | undefined>;
  /** Sends the state to the client that watches. Returns false where the connection takes nothing now. */
  send(state: MemoryState): boolean;
  clock: Clock;
}

/** How long after a report the next one comes at the earliest, in milliseconds. */
const QUIET_MS = 100;

/**
 * Reports the GPU memory of a session to its client: when the client asks, and, while it watches, after changes. One
 * report has all changes of a tenth of a second. The daemon knows how much the tenant may have.
 */
export class MemoryReports {
  readonly #options: MemoryReportsOptions;
  /** Asks for the tenant's memory. The reply goes to `told`. */
  readonly #ask: NonNullable<MemoryReportsOptions['ask']>;
  /** The result of `find`, which does not change. */
  #capacity: Promise<number | undefined> | undefined;
  #tenant: TenantMemory | undefined;
  /** The reads that wait for the reply. */
  readonly #asking: ((tenant: TenantMemory) => void)[] = [];
  /** Whether the client watches, and whether the daemon knows it. */
  #on = false;
  #followed = false;
  #scheduled = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** The last report to the client, as text. */
  #last: string | undefined;

  constructor(options: MemoryReportsOptions) {
    this.#options = options;
    this.#ask = options.ask ?? (() => void this.#find());
  }

  /** The state now: the session's own bytes at the call, and the available bytes when the daemon replies. */
  async read(): Promise<MemoryState> {
    const own = this.#own;
    return stateOf(own, await this.#read());
  }

  /** As `GpuMemory.reserve`. @throws DOMException OperationError (rejects) where nothing tells how much memory there is. */
  async reserve(bytes: number): Promise<boolean> {
    const { memory } = this.#options;
    if (!memory.isBounded) await this.#read();
    if (!memory.isBounded) {
      throw new DOMException(
        'nothing tells how much memory this GPU has, so none can be reserved; the owner of a host can state it (farlight serve --gpu-capacity)',
        'OperationError',
      );
    }
    return memory.reserve(bytes);
  }

  /** The client watches, or does not watch any more. */
  watch(on: boolean): void {
    this.#on = on;
    this.#last = undefined;
    this.#soon();
  }

  /** Whether the client watches. */
  get isWatched(): boolean {
    return this.#on;
  }

  /** The session's used or reserved bytes have changed. */
  changed(): void {
    if (this.#on) this.#soon();
  }

  /** The daemon tells what the tenant may have. */
  told(tenant: TenantMemory): void {
    this.#tenant = tenant;
    for (const resolve of this.#asking.splice(0)) resolve(tenant);
    this.#report();
  }

  /** The session has ended. */
  stop(): void {
    this.#on = false;
    this.#asking.length = 0;
  }

  get #own(): Own {
    const { used, peak, reserved } = this.#options.memory.ledger;
    return { used, peak, reserved };
  }

  #read(): Promise<TenantMemory> {
    return new Promise((resolve) => {
      if (this.#asking.push(resolve) === 1) this.#ask({ type: 'readMemory' });
    });
  }

  /** Replies in place of a daemon: the session alone has all memory of the GPU. */
  async #find(): Promise<void> {
    const { memory, find } = this.#options;
    this.#capacity ??= find();
    const bytes = await this.#capacity;
    if (bytes !== undefined && !memory.isBounded) memory.granted({ bytes, limit: bytes, others: 0 });
    this.told({ limit: bytes, others: 0, reclaimable: 0, queue: 0 });
  }

  #soon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const { clock } = this.#options;
    clock.after(Math.max(0, this.#lookedAt + QUIET_MS - clock.now()), () => {
      this.#scheduled = false;
      this.#look();
    });
  }

  #look(): void {
    this.#lookedAt = this.#options.clock.now();
    if (this.#followed !== this.#on) {
      this.#followed = this.#on;
      // The reply leads to the first report. An earlier reply may be old.
      this.#ask({ type: 'watchMemory', on: this.#on });
    } else {
      this.#report();
    }
  }

  #report(): void {
    if (!this.#on || !this.#tenant) return;
    const state = stateOf(this.#own, this.#tenant);
    const text = JSON.stringify(state);
    if (text === this.#last) return;
    if (this.#options.send(state)) this.#last = text;
    else this.#soon();
  }
}

type Own = Pick<MemoryState, 'used' | 'peak' | 'reserved'>;

function stateOf(own: Own, { limit, others, reclaimable, queue }: TenantMemory): MemoryState {
  const available = limit === undefined ? undefined : Math.max(0, limit - others - own.used - own.reserved);
  return {
    limit,
    available,
    reclaimable: Math.min(reclaimable, available ?? reclaimable),
    ...own,
    queue,
  };
}
