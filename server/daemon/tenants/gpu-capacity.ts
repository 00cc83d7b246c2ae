import { machineMemory } from '../../../link/machine/machine-memory.js';
import type { AdapterDescription } from '../../../proto/session/handshake.js';
import { type DeviceMemory, findDeviceMemory, marginOf } from '../../gpu/device-memory.js';
import type { MemoryBounds } from '../executors/memory-bounds.js';
import type { GpuLimits } from './gpu-memory-shares.js';
import type { Quotas } from './quotas.js';

export interface GpuCapacityOptions {
  /** Bytes for all sessions, as the owner states; 0: no limit. Undefined: what is found. */
  stated: number | undefined;
  /** How much of the machine's memory executors may have. It includes the buffers of a software GPU. */
  bounds: MemoryBounds;
  quotas: Quotas;
  onFound(): void;
}

/**
 * How much of the GPU's memory the sessions of a host may have. A software GPU has the machine's: there a tenant gets an
 * error before its executors exceed what they may have of that, which would end them.
 */
export class GpuCapacity implements GpuLimits {
  readonly #options: GpuCapacityOptions;
  #device: DeviceMemory = { total: undefined, capacity: undefined, source: 'no GPU was opened yet' };
  #isSoftware = false;
  #found: Promise<void> = Promise.resolve();

  constructor(options: GpuCapacityOptions) {
    this.#options = options;
  }

  /** Resolves when what was to be found is known. */
  get found(): Promise<void> {
    return this.#found;
  }

  /** The host has this GPU: finds out how much memory it has. */
  find(adapter: AdapterDescription): void {
    this.#found = this.#find(adapter);
  }

  get view(): DeviceMemory {
    const { stated } = this.#options;
    const { total, source } = this.#device;
    if (stated === undefined) return this.#device;
    return stated === 0
      ? { total, capacity: undefined, source }
      : { total, capacity: stated, source: 'stated by the owner' };
  }

  get all(): number {
    return this.view.capacity ?? Number.POSITIVE_INFINITY;
  }

  of(tenant: string): number {
    const { quotas, bounds } = this.#options;
    const stated = quotas.of(tenant).gpuMemory ?? Number.POSITIVE_INFINITY;
    const ofMachine = bounds.ofTenant(tenant);
    if (!this.#isSoftware || !Number.isFinite(ofMachine)) return stated;
    return Math.min(stated, Math.floor(ofMachine - marginOf(ofMachine)));
  }

  async #find(adapter: AdapterDescription): Promise<void> {
    const machineBytes = Math.min(machineMemory(), this.#options.bounds.all);
    this.#device = await findDeviceMemory(adapter, { machineBytes });
    this.#isSoftware = adapter.software;
    this.#options.onFound();
  }
}
