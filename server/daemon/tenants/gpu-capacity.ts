import type { AdapterDescription } from '../../../proto/session/handshake.js';
import { type DeviceMemory, findDeviceMemory, marginOf } from '../../gpu/device-memory.js';
import type { MemoryBounds } from '../executors/memory-bounds.js';
import type { GpuLimits } from './gpu-memory-shares.js';
import type { Quotas } from './quotas.js';

export interface GpuCapacityOptions {
  /** Bytes for all sessions, as the owner states; 0: no limit. Undefined: the GPU's own capacity. */
  stated: number | undefined;
  /** How much of the machine's memory executors may have. It includes the buffers of a software GPU. */
  bounds: MemoryBounds;
  quotas: Quotas;
  onFound(): void;
}

/**
 * How much of the GPU's memory the sessions of a host may have. A software GPU uses the machine's memory, and executors
 * that take too much of that are ended. There a tenant gets an error before its executors reach that bound.
 */
export class GpuCapacity implements GpuLimits {
  readonly #options: GpuCapacityOptions;
  #device: DeviceMemory = { total: undefined, capacity: undefined, source: 'no GPU was opened yet' };
  #isSoftware = false;
  #found: Promise<void> = Promise.resolve();

  constructor(options: GpuCapacityOptions) {
    this.#options = options;
  }

  /** Resolves when the search for the GPU's memory has ended. */
  get found(): Promise<void> {
    return this.#found;
  }

  /** The host has this GPU: finds out how much memory it has. */
  find(adapter: AdapterDescription): void {
    this.#found = this.#find(adapter);
  }

  get view(): DeviceMemory {
    const { stated } = this.#options;
    const { total } = this.#device;
    if (stated === undefined) return this.#device;
    return stated === 0
      ? { total, capacity: undefined, source: 'the owner sets none' }
      : { total, capacity: stated, source: 'stated by the owner' };
  }

  get all(): number {
    return this.view.capacity ?? Number.POSITIVE_INFINITY;
  }

  of(tenant: string): number {
    const { quotas, bounds } = this.#options;
    const stated = quotas.of(tenant).gpuMemory ?? Number.POSITIVE_INFINITY;
    if (!this.#isSoftware || this.#options.stated === 0) return stated;
    return Math.min(stated, withoutMargin(bounds.ofTenant(tenant)));
  }

  async #find(adapter: AdapterDescription): Promise<void> {
    const { bounds, onFound } = this.#options;
    const found = await findDeviceMemory(adapter);
    const { capacity, source } = found;
    const ofExecutors = withoutMargin(bounds.all);
    this.#isSoftware = adapter.software;
    this.#device =
      adapter.software && capacity !== undefined && ofExecutors < capacity
        ? { ...found, capacity: ofExecutors, source: `${source}, of which executors may have a part` }
        : found;
    onFound();
  }
}

/** The part of the processes' memory that buffers and textures may take. */
function withoutMargin(bytes: number): number {
  return Number.isFinite(bytes) ? Math.floor(bytes - marginOf(bytes)) : bytes;
}
