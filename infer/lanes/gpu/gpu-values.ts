import { type Datatype, rowsOf, type Tensor } from '../../service/tensor.js';
import { RunError } from '../lane.js';
import { isOnGpu } from '../tensor-conversion.js';
import { coversAll, joinedShape, joinRows, rowBytes } from '../tensor-rows.js';
import type { LaneDevice } from './lane-device.js';

/** ONNX Runtime's kernels may use the last 16 bytes of a buffer as a whole. */
const UNIT = 16;
/** Copies on the GPU begin at multiples of it, and are multiples of it long. */
const WORD = 4;

/** A tensor in a buffer of the lane's device. */
export interface GpuValue {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly buffer: GPUBuffer;
}

/** A value that is on the lane: on the GPU, or in the worker's memory where ONNX Runtime cannot have it on the GPU. */
export type LaneValue = GpuValue | Tensor;

/** Some rows of a value. */
export interface ValueRows {
  readonly value: LaneValue;
  readonly from: number;
  readonly count: number;
}

export function isGpuValue(value: LaneValue): value is GpuValue {
  return 'buffer' in value;
}

/** Copies of values on a lane's device: joined, split, and brought back. */
export class GpuCopies {
  readonly #device: GPUDevice;

  constructor({ device }: LaneDevice) {
    this.#device = device;
  }

  /**
   * Joins rows into one value. It is on the GPU where any part is there, unless parts begin between two words. A part that
   * is all of a value is that value. `made` gets the buffer that the caller has to destroy.
   */
  async join(name: string, parts: readonly ValueRows[], made: GPUBuffer[]): Promise<LaneValue> {
    const [first] = parts;
    if (parts.length === 1 && first && coversAll(first.value.shape, first)) return { ...first.value, name };
    const steps = wordSteps(parts);
    if (!steps || !parts.some(({ value }) => isGpuValue(value)))
      return joinRows(name, await this.#brought(parts));
    const shape = joinedShape(
      name,
      parts.map(({ value, count }) => ({ ...value, count })),
    );
    const { datatype } = (first as ValueRows).value;
    const buffer = this.#storage(steps.total);
    made.push(buffer);
    const encoder = this.#device.createCommandEncoder();
    for (const [index, { value }] of parts.entries()) {
      const { from, to, bytes } = steps.steps[index] as Step;
      if (isGpuValue(value)) encoder.copyBufferToBuffer(value.buffer, from, buffer, to, words(bytes));
      else
        this.#device.queue.writeBuffer(
          buffer,
          to,
          padded((value.data as Uint8Array).subarray(from, from + bytes)),
        );
    }
    this.#device.queue.submit([encoder.finish()]);
    return { name, datatype, shape, buffer };
  }

  /** Uploads a tensor. `made` gets the buffer that the caller has to destroy. */
  upload({ name, datatype, shape, data }: Tensor, made: GPUBuffer[]): GpuValue {
    const bytes = data as Uint8Array;
    const buffer = this.#storage(bytes.length);
    made.push(buffer);
    this.#device.queue.writeBuffer(buffer, 0, padded(bytes));
    return { name, datatype, shape, buffer };
  }

  /**
   * Copies a value into one value for each part. Undefined where parts begin between two words, and cannot be on the GPU.
   */
  split(value: GpuValue, counts: readonly number[]): GpuValue[] | undefined {
    const { name, datatype, shape, buffer } = value;
    const whole = counts.length === 1;
    let at = 0;
    const parts = counts.map((count) => {
      const from = at;
      at += count;
      return { value, from, count: whole ? rowsOf(shape) : count };
    });
    const steps = wordSteps(parts);
    if (!steps) return undefined;
    const encoder = this.#device.createCommandEncoder();
    const values = steps.steps.map(({ from, bytes }, index): GpuValue => {
      const part = this.#storage(bytes);
      encoder.copyBufferToBuffer(buffer, from, part, 0, words(bytes));
      const count = counts[index] as number;
      return { name, datatype, shape: whole ? shape : [count, ...shape.slice(1)], buffer: part };
    });
    this.#device.queue.submit([encoder.finish()]);
    return values;
  }

  /** Brings values back, all in one round trip. Asked for before it returns. */
  async read(values: readonly GpuValue[]): Promise<Tensor[]> {
    if (values.length === 0) {
      await this.#device.queue.onSubmittedWorkDone();
      return [];
    }
    let size = 0;
    const places = values.map((value) => {
      const at = size;
      const bytes = bytesOf(value);
      size += roundUp(bytes, UNIT);
      return { value, at, bytes };
    });
    const staging = this.#device.createBuffer({
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    try {
      const encoder = this.#device.createCommandEncoder();
      for (const { value, at, bytes } of places)
        encoder.copyBufferToBuffer(value.buffer, 0, staging, at, words(bytes));
      this.#device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      return places.map(({ value: { name, datatype, shape }, at, bytes }) => {
        const data = new Uint8Array(staging.getMappedRange(at, words(bytes)).slice(0, bytes));
        return { name, datatype, shape, data };
      });
    } finally {
      staging.destroy();
    }
  }

  async #brought(parts: readonly ValueRows[]): Promise<{ value: Tensor; from: number; count: number }[]> {
    const there = await this.read(parts.map(({ value }) => value).filter(isGpuValue));
    return parts.map((part) => ({
      ...part,
      value: isGpuValue(part.value) ? (there.shift() as Tensor) : part.value,
    }));
  }

  #storage(bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ size: roundUp(Math.max(bytes, 1), UNIT), usage });
  }
}

interface Step {
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

/** Where each part begins in its value and in the joined one. Undefined where one begins between two words. */
function wordSteps(parts: readonly ValueRows[]): { steps: Step[]; total: number } | undefined {
  const steps: Step[] = [];
  let total = 0;
  for (const { value, from, count } of parts) {
    const row = isOnGpu(value.datatype) ? rowBytes(value.datatype, value.shape) : undefined;
    if (row === undefined || (row * from) % WORD !== 0 || total % WORD !== 0) return undefined;
    steps.push({ from: row * from, to: total, bytes: row * count });
    total += row * count;
  }
  return { steps, total };
}

function bytesOf({ name, datatype, shape }: GpuValue): number {
  const row = rowBytes(datatype, shape);
  if (row === undefined) throw new RunError(`"${name}" cannot be on the GPU.`);
  return row * rowsOf(shape);
}

function roundUp(bytes: number, unit: number): number {
  return Math.ceil(bytes / unit) * unit;
}

function words(bytes: number): number {
  return roundUp(bytes, WORD);
}

/** Whole words: only these can be written to a buffer. */
function padded(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length % WORD === 0) return bytes as Uint8Array<ArrayBuffer>;
  const whole = new Uint8Array(words(bytes.length));
  whole.set(bytes);
  return whole;
}
