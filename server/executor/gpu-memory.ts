import { extent } from '../../proto/texture-size.js';
import { collector } from './garbage.js';
import type { Entry } from './objects.js';

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

/**
 * The GPU memory of one session's buffers and textures, which is not to exceed a limit. What a driver takes
 * beside it (alignment, pipelines, what is under way in a queue) is not counted.
 *
 * Memory is given back when its holder is destroyed, or collected: that is when neither the program nor anything
 * it made of the holder (a view, a bind group, commands) is there any more. What was only released is collected
 * at once when memory runs out.
 */
export class GpuMemory {
  readonly #limit: number;
  readonly #collect: () => void;
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

  /** `limit` is in bytes; `collect` has the garbage collected before it returns. */
  constructor(limit: number, collect: () => void = collector()) {
    this.#limit = limit;
    this.#collect = collect;
  }

  /** Bytes that buffers and textures have now. */
  get used(): number {
    return this.#used;
  }

  /** Makes what holds memory. @throws RangeError where there is not enough left; nothing is made then. */
  hold<T extends object>({ what, bytes, exceeds, make }: MemoryRequest<T>): T {
    if (this.#used + bytes > this.#limit) this.#reclaim();
    if (this.#used + bytes > this.#limit) {
      // An error of validation comes before one of memory, and is the implementation's to raise.
      if (exceeds()) return make();
      throw new RangeError(
        `${what}: ${bytes} bytes are more than what is left of this session's ${this.#limit} bytes of GPU memory, ` +
          `of which ${this.#used} are in use; destroy what is not needed any more, or have the host started with a larger --gpu-memory.`,
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
