import type { ShareCommand, ShareReport } from '../../../proto/session/shares.js';
import { extent } from '../../../proto/texture-size.js';
import type { Entry } from '../objects/object-table.js';
import { collector } from './garbage.js';

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
  readonly owner: WeakRef<object>;
}

/** The interfaces whose objects keep alive what they were given, until they are finished and submitted. */
const ENCODERS: ReadonlySet<string> = new Set([
  'GPUCommandEncoder',
  'GPUComputePassEncoder',
  'GPURenderPassEncoder',
  'GPURenderBundleEncoder',
]);

type Grant = Omit<Extract<ShareCommand, { type: 'memory' }>, 'type'>;

export interface GpuMemoryOptions {
  /** Asks the host for more memory, or tells it how much the session keeps. */
  ask?: (report: Extract<ShareReport, { type: 'wantMemory' | 'keepMemory' }>) => void;
  /** Collects the garbage before it returns. */
  collect?: () => void;
}

/**
 * The GPU memory of one session's buffers and textures. It stays within what the host has granted. The host grants it
 * from the tenant's share, and may want back what is not used. What a driver takes beside it (alignment, pipelines,
 * work in a queue) is not counted.
 *
 * Memory comes back when its owner, a buffer or texture, is destroyed or collected. An owner is collected when the
 * program has released it, and everything that was made of it: views, bind groups, commands. When memory runs out, the
 * garbage is collected at once.
 */
export class GpuMemory {
  #grant: Grant;
  readonly #ask: NonNullable<GpuMemoryOptions['ask']>;
  readonly #collect: () => void;
  /** Creates that wait for the host's reply. */
  readonly #asking: (() => void)[] = [];
  #used = 0;
  readonly #byOwner = new WeakMap<object, Allocation>();
  /** Owners that the program has released and the collector has not taken. */
  readonly #released = new Set<Allocation>();
  /** Whether something was released since the last collection. */
  #worthCollecting = false;
  /** The objects that an object was made of, or was given. They live as long as it does. */
  readonly #parts = new WeakMap<object, Set<object>>();
  readonly #live = new Set<Allocation>();
  readonly #collected = new FinalizationRegistry<Allocation>((allocation) => this.#free(allocation));

  /** `bytes` is what the host has granted at first. */
  constructor(bytes: number, { ask = () => {}, collect = collector() }: GpuMemoryOptions = {}) {
    this.#grant = { bytes, limit: bytes, others: 0 };
    this.#ask = ask;
    this.#collect = collect;
  }

  /** The bytes of all buffers and textures now. */
  get used(): number {
    return this.#used;
  }

  /** Whether so many bytes are left of the grant. */
  fits(bytes: number): boolean {
    return this.#used + bytes <= this.#grant.bytes;
  }

  /** Asks the host to grant so many bytes more. Resolves when the host has granted them, or cannot. */
  async more(bytes: number): Promise<void> {
    await this.#request(bytes);
    if (this.fits(bytes)) return;
    const { used } = this;
    this.#reclaim();
    if (this.#used < used && !this.fits(bytes)) await this.#request(bytes);
  }

  /** The host has replied. */
  granted(grant: Grant): void {
    this.#grant = grant;
    for (const resolve of this.#asking.splice(0)) resolve();
  }

  /** The host wants back what is not used. */
  giveBack(): void {
    this.#reclaim();
    this.#grant = { ...this.#grant, bytes: this.#used };
    this.#ask({ type: 'keepMemory', bytes: this.#used });
  }

  #request(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      this.#ask({ type: 'wantMemory', bytes: this.#used + bytes });
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
          `of which ${others + this.#used} are in use; destroy what is not needed any more, or ask the host's owner for more (--gpu-memory).`,
      );
    }
    const owner = make();
    const allocation = { bytes, owner: new WeakRef(owner) };
    this.#used += bytes;
    this.#live.add(allocation);
    this.#byOwner.set(owner, allocation);
    this.#collected.register(owner, allocation);
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
    if (!allocation || !this.#live.has(allocation)) return;
    this.#released.add(allocation);
    this.#worthCollecting = true;
  }

  /** A command was carried out on `self` with these objects, and has made `made`. Notes what keeps what alive. */
  keepParts(self: Entry, objects: readonly object[], made: Entry | undefined): void {
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
    for (const each of [...this.#released]) if (!each.owner.deref()) this.#free(each);
  }

  #free(allocation: Allocation): void {
    this.#released.delete(allocation);
    if (this.#live.delete(allocation)) this.#used -= allocation.bytes;
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
