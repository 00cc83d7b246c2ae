import type { Whole } from '../session/parts.js';

/** The properties of a payload that decide whether it is worth a name. */
export interface Upload {
  readonly length: number;
  readonly text: boolean;
  /** The whole that the payload is a part of. All its parts are judged as one. */
  readonly whole?: Whole | undefined;
  /**
   * The target that the payload is written to: the command without its payloads. Asked for only if it
   * decides, because it takes time to make.
   */
  target(): string;
}

export interface UploadPolicyOptions {
  /** The largest content that the host keeps, in bytes. */
  largestBytes: number;
  /** The smallest payload that is worth a name, in bytes. */
  leastBytes?: number;
  /** How many payloads of one length are named before the first readback. */
  mostAlike?: number;
}

/**
 * Below this, a name saves nothing at 100 Mbit/s: docs/decisions/0007-content-addressed-blobs.md has figures.
 */
const LEAST_BYTES = 2 << 10;
/** A transformer of 64 layers has four equal matrices a layer. */
const MOST_ALIKE = 256;
/** How many targets and lengths are remembered. */
const REMEMBERED = 4096;

/**
 * Decides which payloads are named by their content, so that the host keeps them for later sessions. Worth a
 * name are payloads that come again in the next run of the program: shaders, weights, textures. A stream is
 * not: frames and activations differ each time, and would push everything else out of the host's store.
 *
 * Two signs tell a stream. It is written where something was written before. And it comes after the program
 * has begun to read results, when one-time uploads are done. A model that is loaded later has matrices of
 * many lengths, while a stream has one length: so from then on each length is named once.
 */
export class UploadPolicy {
  readonly #largestBytes: number;
  readonly #leastBytes: number;
  readonly #mostAlike: number;
  readonly #targets = new Set<string>();
  readonly #named = new Map<number, number>();
  #readBack = false;

  constructor({ largestBytes, leastBytes = LEAST_BYTES, mostAlike = MOST_ALIKE }: UploadPolicyOptions) {
    this.#largestBytes = largestBytes;
    this.#leastBytes = leastBytes;
    this.#mostAlike = mostAlike;
  }

  /** The program has read a result. */
  readBack(): void {
    this.#readBack = true;
  }

  /** Whether to name this payload. Each payload is asked about once, in order. */
  isWorthNaming(upload: Upload): boolean {
    const { whole, target } = upload;
    if (!whole) return this.#isWorthNaming(upload);
    whole.worthNaming ??= this.#isWorthNaming({ length: whole.length, text: false, target });
    return whole.worthNaming && upload.length >= this.#leastBytes;
  }

  #isWorthNaming(upload: Upload): boolean {
    const { length, text } = upload;
    if (length < this.#leastBytes || length > this.#largestBytes) return false;
    // Long texts are shaders: they never stream.
    if (text) return true;
    if (!this.#isNew(upload.target())) return false;
    const named = this.#named.get(length) ?? 0;
    if (named >= (this.#readBack ? 1 : this.#mostAlike)) return false;
    // A program with so many lengths streams after all.
    if (named === 0 && this.#named.size === REMEMBERED) return false;
    this.#named.set(length, named + 1);
    return true;
  }

  #isNew(target: string): boolean {
    if (this.#targets.has(target)) return false;
    this.#targets.add(target);
    if (this.#targets.size > REMEMBERED) this.#targets.delete(this.#targets.values().next().value as string);
    return true;
  }
}
