import type { ShareCommand, ShareReport } from '../../../proto/shares.js';
import { extent } from '../../../proto/texture-size.js';
import type { Entry } from '../objects/object-table.js';
import { collector } from './garbage.js';

/** What a create asks for. */
export interface MemoryRequest<T> {
  /** The operation, for the message. */
  what: string;
  bytes: number;
  /** Whether the device refuses it in any case. Asked only where it is too much. */
  exceeds(): boolean;
  make(): T;
}

/** A buffer or texture, and the memory that it has. */
interface Holding {
  readonly bytes: number;
  readonly holder: WeakRef<object>;
}

/** What keeps alive that which it was given, until it is finished and submitted. */
const ENCODERS: ReadonlySet<string> = new Set([
  'GPUCommandEncoder',
  'GPUComputePassEncoder',
  'GPURenderPassEncoder',
  'GPURenderBundleEncoder',
]);

type Grant = Omit<Extract<ShareCommand, { type: 'memory' }>, 'type'>;

export interface GpuMemoryOptions {
  /** Asks the host for more, or tells it what is kept. */
  ask?: (report: Extract<ShareReport, { type: 'wantMemory' | 'keepMemory' }>) => void;
  /** Has the garbage collected before it returns. */
  collect?: () => void;
}

/**
 * The GPU memory of one session's buffers and textures, which is not to exceed what the host has granted. What a
 * driver takes beside it (alignment, pipelines, what is under way in a queue) is not counted.
 *
 * The host grants it out of what the session's tenant may have, and may want back what is not used.
 *
 * Memory is given back when its holder is destroyed, or collected: that is when neither the program nor anything
 * it made of the holder (a view, a bind group, commands) is there any more. What was only released is collected
 * at once when memory runs out.
 */
export class GpuMemory {
  #grant: Grant;
  readonly #ask: NonNullable<GpuMemoryOptions['ask']>;
  readonly #collect: () => void;
  /** Who waits for the host's answer. */
  readonly #asking: (() => void)[] = [];
  #used = 0;
  readonly #holdings = new WeakMap<object, Holding>();
  /** Those that the program has dropped and the collector has not taken. */
  readonly #released = new Set<Holding>();
  /** Something was released since the last collection. */
  #worthCollecting = false;
  /** What an object is made of, or was given, which lives as long as it does. */
  readonly #parts = new WeakMap<object, Set<object>>();
  /** Those that hold memory. */
  readonly #held = new Set<Holding>();
  readonly #collected = new FinalizationRegistry<Holding>((holding) => this.#free(holding));

  /** `bytes` are granted at first. */
  constructor(bytes: number, { ask = () => {}, collect = collector() }: GpuMemoryOptions = {}) {
    this.#grant = { bytes, limit: bytes, others: 0 };
    this.#ask = ask;
    this.#collect = collect;
  }

  /** Bytes that buffers and textures have now. */
  get used(): number {
    return this.#used;
  }

  /** Whether so many bytes may be had without asking. */
  fits(bytes: number): boolean {
    return this.#used + bytes <= this.#grant.bytes;
  }

  /** Asks the host for what it takes to have so many bytes more; resolves when they may be had, or cannot. */
  async more(bytes: number): Promise<void> {
    await this.#request(bytes);
    if (this.fits(bytes)) return;
    const { used } = this;
    this.#reclaim();
    if (this.#used < used && !this.fits(bytes)) await this.#request(bytes);
  }

  /** The host has answered. */
  granted(grant: Grant): void {
    this.#grant = grant;
    for (const resolve of this.#asking.splice(0)) resolve();
  }

  /** The host wants back what is not used. */
  spare(): void {
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

  /** Makes what holds memory. @throws RangeError where there is not enough left; nothing is made then. */
  hold<T extends object>({ what, bytes, exceeds, make }: MemoryRequest<T>): T {
    if (!this.fits(bytes)) this.#reclaim();
    if (!this.fits(bytes)) {
      // An error of validation comes before one of memory, and is the implementation's to raise.
      if (exceeds()) return make();
      const { limit, others } = this.#grant;
      throw new RangeError(
        `${what}: ${bytes} bytes are more than what is left of the ${limit} bytes of GPU memory that this tenant's sessions ` +
          `may have, of which ${others + this.#used} are in use; destroy what is not needed any more, or ask the host's owner for more (--gpu-memory).`,
      );
    }
    const holder = make();
    const holding = { bytes, holder: new WeakRef(holder) };
    this.#used += bytes;
    this.#held.add(holding);
    this.#holdings.set(holder, holding);
    this.#collected.register(holder, holding);
    return holder;
  }

  /** The program has destroyed it. */
  destroyed(holder: object): void {
    const holding = this.#holdings.get(holder);
    if (holding) this.#free(holding);
  }

  /** The program does not refer to it any more. */
  released(holder: object): void {
    const holding = this.#holdings.get(holder);
    if (!holding || !this.#held.has(holding)) return;
    this.#released.add(holding);
    this.#worthCollecting = true;
  }

  /** A command was carried out on `self`, with these objects, and has made `made`. */
  keepParts(self: Entry, objects: readonly object[], made: Entry | undefined): void {
    const receiver = self.object as object;
    const result = made?.object;
    if (ENCODERS.has(self.kind)) {
      const parts = this.#parts.get(receiver) ?? new Set();
      this.#parts.set(receiver, parts);
      for (const each of objects) parts.add(each);
      // A pass, and the commands in the end, keep what their encoder was given.
      if (result) this.#parts.set(result, parts);
    } else if (result && self.kind === 'GPUTexture') {
      this.#parts.set(result, new Set([receiver]));
    } else if (result && made.kind === 'GPUBindGroup') {
      this.#parts.set(result, new Set(objects));
    } else if (self.kind === 'GPUQueue') {
      // Commands are submitted once, and keep nothing afterwards.
      for (const each of objects) this.#parts.get(each)?.clear();
    }
  }

  /** Has everything collected that was released, and takes back what it had. */
  #reclaim(): void {
    if (!this.#worthCollecting) return;
    this.#worthCollecting = false;
    this.#collect();
    for (const holding of [...this.#released]) if (!holding.holder.deref()) this.#free(holding);
  }

  #free(holding: Holding): void {
    this.#released.delete(holding);
    if (this.#held.delete(holding)) this.#used -= holding.bytes;
  }
}

/** Whether a device with such limits has no buffer of that size or usage. */
export function exceedsBuffer(limits: GPUSupportedLimits, { size, usage }: GPUBufferDescriptor): boolean {
  return size > limits.maxBufferSize || usage === 0;
}

/** Whether a device with such limits has no texture of that size or usage. */
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
