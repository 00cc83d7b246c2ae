import { invariant } from '../../../proto/errors.js';
import type { Cell } from '../../broker/cell.js';
import type { ApplicationRecord, PartitionRecord } from '../records.js';

/** The newest state of an application at the broker: the version that runs, and how far each partition is. */
export class ApplicationState {
  readonly #cell: Cell<ApplicationRecord>;
  readonly #isOver: () => boolean;
  #record!: ApplicationRecord;
  readonly #partitions = new Map<number, PartitionRecord>();
  #onChange: (() => void) | undefined;

  constructor(cell: Cell<ApplicationRecord>, isOver: () => boolean) {
    this.#cell = cell;
    this.#isOver = isOver;
  }

  /** As it was told last, or changed here. There is none before the first change. */
  get record(): ApplicationRecord {
    return this.#record;
  }

  /** Undefined for a partition that no worker has had. */
  get partitions(): readonly (PartitionRecord | undefined)[] {
    return Array.from({ length: this.#record.partitions }, (_, at) => this.#partitions.get(at));
  }

  async isThere(): Promise<boolean> {
    return (await this.#cell.read()) !== undefined;
  }

  /** As `Cell.change`. */
  async change(
    next: (record: ApplicationRecord | undefined) => ApplicationRecord | undefined,
  ): Promise<ApplicationRecord> {
    this.#record = await this.#cell.change(next);
    return this.#record;
  }

  /** As `change`, of an application that is there. */
  changeExisting(
    next: (record: ApplicationRecord) => ApplicationRecord | undefined,
  ): Promise<ApplicationRecord> {
    return this.change((record) => {
      invariant(record, 'an application was deleted');
      return next(record);
    });
  }

  /** The broker has told of the application. Another coordinator may have changed it. */
  heard(record: ApplicationRecord): void {
    this.#record = record;
  }

  heardPartition(partition: number, record: PartitionRecord): void {
    this.#partitions.set(partition, record);
  }

  /** Something has changed that somebody may wait for. */
  wake(): void {
    this.#onChange?.();
  }

  /**
   * Waits until something holds: it is looked at whenever something changes. One upgrade at a time waits.
   *
   * @throws Error (rejects)
   */
  async until(holds: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    const wake = () => this.wake();
    signal?.addEventListener('abort', wake);
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (this.#isOver()) throw new Error('the coordinator was closed');
        if (holds()) return;
        await new Promise<void>((resolve) => {
          this.#onChange = resolve;
        });
      }
    } finally {
      signal?.removeEventListener('abort', wake);
      this.#onChange = undefined;
    }
  }
}
