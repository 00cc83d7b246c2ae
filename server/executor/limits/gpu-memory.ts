import type { MemoryGrant, ShareReport } from '../../../proto/session/shares.js';
import { extent } from '../../../proto/texture-size.js';
import type { Entry } from '../objects/object-table.js';
import { collector } from './garbage.js';
import { MemoryLedger } from './memory-ledger.js';

/** The memory that a create asks for. */
export interface MemoryRequest<T> {
  /** The operation, for error messages. */
  operation: string;
  bytes: number;
  /** Whether the device refuses it anyway. Asked only where there is not enough memory. */
  exceeds(): boolean;
  make(): T;
}

/** The memory of a buffer or texture. */
interface Allocation {
  readonly bytes: number;
  /** How much of it was drawn from the session's reservation. */
  readonly drawn: number;
  /** Absent where it counts only until it is released. */
  readonly owner: WeakRef<object> | undefined;
  isFree: boolean;
}

/** The interfaces whose objects keep the objects that they were given alive, until they are finished and submitted. */
const ENCODERS: ReadonlySet<string> = new Set([
  'GPUCommandEncoder',
  'GPUComputePassEncoder',
  'GPURenderPassEncoder',
  'GPURenderBundleEncoder',
]);

export interface GpuMemoryOptions {
  /** The host's first grant. Default: everything. */
  grant?: MemoryGrant | undefined;
  /** Asks the host for more memory, or tells it how much the session keeps. Absent where the grant is all there is. */
  ask?: ((report: Extract<ShareReport, { type: 'wantMemory' | 'keepMemory' }>) => void) | undefined;
  /** Whether an object counts until it is collected, and not only until the program has released it. */
  untilCollected?: boolean | undefined;
  /** Collects the garbage before it returns. */
  collect?: (() => void) | undefined;
  /** Called after each change of what is used or reserved. */
  onChange?: (() => void) | undefined;
}

const EVERYTHING: MemoryGrant = {
  bytes: Number.POSITIVE_INFINITY,
  limit: Number.POSITIVE_INFINITY,
  others: 0,
};

/**
 * The GPU memory of one session's buffers and textures, and its reservation. It stays within what the host has granted.
 * The host grants it from the tenant's share, and may ask for bytes that are neither used nor reserved. The driver's own
 * memory (alignment, pipelines, work in a queue) is not counted.
 *
 * Memory comes back when its owner, a buffer or texture, is destroyed or released. With `untilCollected`, for tenants with
 * limits, it comes back only when a released owner is collected. That is after the program has released everything that was
 * made of it: views, bind groups and commands keep it on the GPU. When memory runs out, the garbage is collected at once.
 */
export class GpuMemory {
  readonly ledger: MemoryLedger;
  #grant: MemoryGrant;
  readonly #ask: GpuMemoryOptions['ask'];
  readonly #untilCollected: boolean;
  readonly #collect: () => void;
  /** Creates and reservations that wait for the host's reply. */
  readonly #asking: (() => void)[] = [];
  readonly #byOwner = new WeakMap<object, Allocation>();
  /** Owners that the program has released and the collector has not taken. */
  readonly #released = new Set<Allocation>();
  /** Whether something was released since the last collection. */
  #worthCollecting = false;
  /** The objects that an object was made of, or was given. They live as long as it does. */
  readonly #parts = new WeakMap<object, Set<object>>();
  readonly #collected = new FinalizationRegistry<Allocation>((allocation) => this.#free(allocation));

  constructor({
    grant = EVERYTHING,
    ask,
    untilCollected = false,
    collect = collector(),
    onChange,
  }: GpuMemoryOptions = {}) {
    this.ledger = new MemoryLedger(onChange);
    this.#grant = grant;
    this.#ask = ask;
    this.#untilCollected = untilCollected;
    this.#collect = collect;
  }

  /** Whether so many bytes are left of the grant and the reservation. */
  fits(bytes: number): boolean {
    return this.ledger.claimedWith(bytes) <= this.#grant.bytes;
  }

  /** Asks the host for room for so many bytes. Resolves when the host has granted it, or cannot. */
  more(bytes: number): Promise<void> {
    return this.#grow(() => this.ledger.claimedWith(bytes));
  }

  /** Whether an object counts until it is collected, also once the program has released it. */
  get countsReleased(): boolean {
    return this.#untilCollected;
  }

  /** Whether a limit is known. Without one, no memory can be reserved. */
  get isBounded(): boolean {
    return Number.isFinite(this.#grant.limit);
  }

  /** Whether the grant has room to reserve so many bytes. */
  canReserve(bytes: number): boolean {
    return this.isBounded && this.ledger.claimed + bytes <= this.#grant.bytes;
  }

  /** Reserves so many bytes more. Resolves to false where the session cannot have them: then nothing changes. */
  async reserve(bytes: number): Promise<boolean> {
    if (!this.canReserve(bytes)) await this.#grow(() => this.ledger.claimed + bytes);
    if (!this.canReserve(bytes)) return false;
    this.ledger.reserve(bytes);
    return true;
  }

  /** The host has replied. */
  granted(grant: MemoryGrant): void {
    this.#grant = grant;
    for (const resolve of this.#asking.splice(0)) resolve();
  }

  /** The host wants back the bytes that are neither used nor reserved. */
  giveBack(): void {
    this.#reclaim();
    this.#grant = { ...this.#grant, bytes: this.ledger.claimed };
    this.#ask?.({ type: 'keepMemory', bytes: this.ledger.claimed });
  }

  /** Asks the host until the session may claim so many bytes, or cannot. `wanted` falls where garbage is collected. */
  async #grow(wanted: () => number): Promise<void> {
    await this.#request(wanted());
    if (wanted() <= this.#grant.bytes) return;
    const before = wanted();
    this.#reclaim();
    if (wanted() < before && wanted() > this.#grant.bytes) await this.#request(wanted());
  }

  #request(bytes: number): Promise<void> {
    const ask = this.#ask;
    if (!ask) return Promise.resolve();
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      ask({ type: 'wantMemory', bytes });
    });
  }

  /** Makes an object that takes memory. @throws RangeError where too little is left: then nothing is made. */
  allocate<T extends object>({ operation, bytes, exceeds, make }: MemoryRequest<T>): T {
    if (!this.fits(bytes)) this.#reclaim();
    if (!this.fits(bytes)) {
      // A validation error comes before an error of memory, and the implementation raises it.
      if (exceeds()) return make();
      const { limit, others } = this.#grant;
      throw new RangeError(
        `${operation}: ${bytes} bytes are more than is left of the ${limit} bytes of GPU memory for this tenant's sessions, ` +
          `of which ${others + this.ledger.claimed} are in use or reserved; destroy what is not needed any more, ` +
          `or ask the host's owner for more (--gpu-memory).`,
      );
    }
    const owner = make();
    const drawn = this.ledger.take(bytes);
    const reference = this.#untilCollected ? new WeakRef(owner) : undefined;
    const allocation: Allocation = { bytes, drawn, owner: reference, isFree: false };
    this.#byOwner.set(owner, allocation);
    if (this.#untilCollected) this.#collected.register(owner, allocation);
    return owner;
  }

  /** The program has destroyed it. */
  destroyed(owner: object): void {
    const allocation = this.#byOwner.get(owner);
    if (allocation) this.#free(allocation);
  }

  /** The program has released its handle. */
  released(owner: object): void {
    const allocation = this.#byOwner.get(owner);
    if (!allocation || allocation.isFree) return;
    if (!this.#untilCollected) {
      this.#free(allocation);
      return;
    }
    this.#released.add(allocation);
    this.#worthCollecting = true;
  }

  /** A command was carried out on `self` with these objects, and has made `made`. Notes which objects keep which alive. */
  keepParts(self: Entry, objects: readonly object[], made: Entry | undefined): void {
    if (!this.#untilCollected) return;
    const receiver = self.object as object;
    const result = made?.object;
    if (ENCODERS.has(self.kind)) {
      const parts = this.#parts.get(receiver) ?? new Set();
      this.#parts.set(receiver, parts);
      for (const each of objects) parts.add(each);
      // A pass, and later the command buffer, keep alive what their encoder was given.
      if (result) this.#parts.set(result, parts);
    } else if (result && self.kind === 'GPUTexture') {
      this.#parts.set(result, new Set([receiver]));
    } else if (result && made.kind === 'GPUBindGroup') {
      this.#parts.set(result, new Set(objects));
    } else if (self.kind === 'GPUQueue') {
      // A command buffer is submitted once, and keeps nothing alive afterwards.
      for (const each of objects) this.#parts.get(each)?.clear();
    }
  }

  /** Collects the released owners, and takes back their memory. */
  #reclaim(): void {
    if (!this.#worthCollecting) return;
    this.#worthCollecting = false;
    this.#collect();
    for (const each of [...this.#released]) if (!each.owner?.deref()) this.#free(each);
  }

  #free(allocation: Allocation): void {
    if (allocation.isFree) return;
    allocation.isFree = true;
    this.#released.delete(allocation);
    this.ledger.giveBack(allocation.bytes, allocation.drawn);
  }
}

/** Whether a device with these limits refuses a buffer of that size or usage. */
export function exceedsBuffer(limits: GPUSupportedLimits, { size, usage }: GPUBufferDescriptor): boolean {
  return size > limits.maxBufferSize || usage === 0;
}

/** Whether a device with these limits refuses a texture of that size or usage. */
export function exceedsTexture(
  limits: GPUSupportedLimits,
  { size, usage, dimension = '2d' }: GPUTextureDescriptor,
): boolean {
  const [width, height, depthOrLayers] = extent(size);
  const [most, mostDeep] =
    dimension === '2d'
      ? [limits.maxTextureDimension2D, limits.maxTextureArrayLayers]
      : dimension === '3d'
        ? [limits.maxTextureDimension3D, limits.maxTextureDimension3D]
        : [limits.maxTextureDimension1D, 1];
  return Math.max(width, height) > most || depthOrLayers > mostDeep || usage === 0;
}
