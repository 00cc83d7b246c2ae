import { GPUBufferUsage, GPUMapMode } from '../../../proto/gen/webgpu.js';
import { LIMITS } from '../../../proto/wire/limits.js';

/** A part of a buffer. */
export interface SourceRange {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/** The result of a request, as far as the client has it. */
export interface Brought {
  /** Whether the client has been sent the bytes of the ranges. */
  data: boolean;
}

/** Buffers that a device has for this, at most: one request may be late when the next one comes. */
const MOST_BUFFERS = 2;

const NOTHING = new Uint8Array(0);

/**
 * Copies ranges of a program's buffers aside, into buffers of the executor's own, behind everything that the program
 * has submitted. The program's buffers and error scopes stay as they are.
 */
export class Asides {
  readonly #device: GPUDevice;
  readonly #free: GPUBuffer[] = [];
  #underWay = 0;
  #latest: Brought = { data: false };
  /** Mappings of the program's buffers that are not settled, of bytes that were copied aside. */
  readonly #mappings = new WeakMap<GPUBuffer, Promise<unknown>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** The result of the latest request. */
  get latest(): Brought {
    return this.#latest;
  }

  /** Begins a request, which has brought nothing so far. */
  expect(): Brought {
    this.#latest = { data: false };
    return this.#latest;
  }

  /**
   * The bytes of the ranges, one after the other; none where they cannot be copied. `submitted` is called when the GPU
   * has been given the copies. Rejects where the device is lost.
   */
  async read(ranges: readonly SourceRange[], submitted: () => void): Promise<Uint8Array> {
    const length = ranges.reduce((sum, { size }) => sum + size, 0);
    const isAllowed = length > 0 && length % 4 === 0 && length <= LIMITS.aheadBytes;
    if (!isAllowed || this.#underWay === MOST_BUFFERS) return NOTHING;
    this.#underWay += 1;
    try {
      return await this.#read(ranges, length, submitted);
    } finally {
      this.#underWay -= 1;
    }
  }

  /** The program maps a buffer of its own. */
  mapping(buffer: GPUBuffer, mapped: Promise<unknown>): void {
    const settled = () => {
      if (this.#mappings.get(buffer) === waiting) this.#mappings.delete(buffer);
    };
    const waiting = mapped.then(settled, settled);
    this.#mappings.set(buffer, waiting);
  }

  /** Resolves when the buffer's mapping is settled, a turn behind its reply. Undefined without a pending mapping. */
  mapped(buffer: GPUBuffer): Promise<unknown> | undefined {
    return this.#mappings.get(buffer);
  }

  /** Destroys the buffers, which hold bytes of the session. */
  clear(): void {
    for (const buffer of this.#free.splice(0)) buffer.destroy();
  }

  /** Returns no bytes if a copy fails. The error goes nowhere else. */
  async #read(ranges: readonly SourceRange[], length: number, submitted: () => void): Promise<Uint8Array> {
    const device = this.#device;
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    const { COPY_DST, MAP_READ } = GPUBufferUsage;
    const buffer =
      this.#free.pop() ??
      device.createBuffer({ label: 'read ahead', size: LIMITS.aheadBytes, usage: COPY_DST | MAP_READ });
    const encoder = device.createCommandEncoder();
    let at = 0;
    for (const { buffer: source, offset, size } of ranges) {
      encoder.copyBufferToBuffer(source, offset, buffer, at, size);
      at += size;
    }
    device.queue.submit([encoder.finish()]);
    submitted();
    // Map at once, and not only when the scopes are known: each wait on Dawn takes a turn of its own.
    const mapped = buffer.mapAsync(GPUMapMode.READ, 0, length);
    // `await mapped` below throws the error. If that line is not reached, the copies or the device have failed already.
    mapped.catch(() => {});
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    if (errors.some((error) => error !== null)) {
      buffer.destroy();
      return NOTHING;
    }
    await mapped;
    const bytes = new Uint8Array(buffer.getMappedRange(0, length)).slice();
    buffer.unmap();
    this.#free.push(buffer);
    return bytes;
  }
}
