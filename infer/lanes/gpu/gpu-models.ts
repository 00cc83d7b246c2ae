import type * as Ort from 'onnxruntime-web/webgpu';
import type { MemoryPeak } from '../../../client/index.js';
import { monotonicNow } from '../../../link/machine/clock.js';
import { type Datatype, rowsOf, type Tensor } from '../../service/tensor.js';
import {
  isKept,
  type KeptValue,
  type LaneModel,
  type LaneRun,
  type LoadReport,
  RunError,
  type RunReport,
} from '../lane.js';
import { fromOrt, type HostTensor, ortType, toOrt } from '../tensor-conversion.js';
import { checkRows, joinRows, splitRows } from '../tensor-rows.js';
import { GpuCopies, type GpuValue, isGpuValue, type LaneValue } from './gpu-values.js';
import type { LaneDevice, UnderWay } from './lane-device.js';
import { LoadedModel } from './loaded-model.js';

/**
 * Inputs that the lane uploads itself. ONNX Runtime would keep its copy until the next run ends, so that a run's memory
 * would depend on the run before. The others are often read on the CPU: indices, lengths, masks.
 */
const UPLOADED: ReadonlySet<Datatype> = new Set(['FP32', 'FP16', 'INT32', 'UINT32']);

/** The outputs of a run, by name. */
interface Outputs {
  readonly fetched: Readonly<Record<string, readonly Tensor[]>>;
  readonly kept: Readonly<Record<string, readonly LaneValue[]>>;
}

/** The models that a lane has loaded, and the values that stay for later runs. It does one thing at a time. */
export class GpuModels {
  readonly #lane: string;
  readonly #ort: typeof Ort;
  readonly #device: LaneDevice;
  readonly #copies: GpuCopies;
  readonly #models = new Map<string, LoadedModel>();
  readonly #kept = new Map<number, LaneValue>();
  #lastKept = 0;

  constructor(lane: string, ort: typeof Ort, device: LaneDevice) {
    this.#lane = lane;
    this.#ort = ort;
    this.#device = device;
    this.#copies = new GpuCopies(device);
  }

  load(model: LaneModel): Promise<LoadReport> {
    return this.#device.reserving(model.reserve, () => this.#load(model));
  }

  async #load({ id, file, version: known }: LaneModel): Promise<LoadReport> {
    if (this.#models.has(id)) throw new RunError(`Model "${id}" is loaded already.`);
    const start = monotonicNow();
    const before = this.#device.resetPeak();
    const model = new LoadedModel(this.#ort, this.#device, file, known);
    const { inputs, outputs, version } = await model.open();
    this.#models.set(id, model);
    const ms = monotonicNow() - start;
    const after = await this.#device.resetPeak();
    return { inputs, outputs, version, weights: after.used - (await before).used, ms };
  }

  async unload(id: string): Promise<void> {
    const model = this.#models.get(id);
    this.#models.delete(id);
    await model?.close();
  }

  run(run: LaneRun): Promise<RunReport> {
    return this.#device.reserving(run.reserve, () => this.#run(run));
  }

  async #run(run: LaneRun): Promise<RunReport> {
    const model = this.#models.get(run.model);
    if (!model) throw new RunError(`Model "${run.model}" is not loaded on this lane.`);
    // A run that failed may have closed it.
    await model.open();
    const start = monotonicNow();
    const before = this.#device.resetPeak();
    let after: Promise<MemoryPeak> = before;
    let inputsIn = start;
    /** The inputs, and the copies of outputs that stay. */
    const [uploaded, copied]: [GPUBuffer[], GPUBuffer[]] = [[], []];
    try {
      const { fetched, kept } = await this.#device.guard(async () => {
        const feeds: Record<string, Ort.Tensor> = {};
        for (const [name, rows] of Object.entries(run.inputs)) {
          const found = rows.map((row) => ({ ...row, value: this.#valueOf(row.value) }));
          const value = await this.#copies.join(name, found, uploaded);
          const goes = !isGpuValue(value) && UPLOADED.has(value.datatype) && value.data.length > 0;
          feeds[name] = this.#fed(goes ? this.#copies.upload(value, uploaded) : value);
        }
        inputsIn = monotonicNow();
        const results = await model.run(feeds, [...new Set([...run.keep, ...run.fetch])]);
        const underWay = this.#take(results, run, copied);
        after = this.#device.resetPeak();
        return underWay;
      });
      const [{ used }, { peak }] = await Promise.all([before, after]);
      const done = monotonicNow();
      const outputs: Record<string, readonly (Tensor | KeptValue)[]> = { ...fetched };
      for (const [name, values] of Object.entries(kept))
        outputs[name] = values.map((value) => this.#keep(value));
      return {
        outputs,
        peak: peak - used,
        ms: done - start,
        inputMs: inputsIn - start,
        inferMs: done - inputsIn,
        outputMs: monotonicNow() - done,
      };
    } catch (error) {
      for (const buffer of copied) buffer.destroy();
      throw error;
    } finally {
      for (const buffer of uploaded) buffer.destroy();
    }
  }

  async fetch(values: readonly KeptValue[]): Promise<Tensor[]> {
    const found = values.map((value) => this.#valueOf(value));
    const read = await this.#device.guard(async () => ({
      result: this.#copies.read(found.filter(isGpuValue)),
    }));
    return found.map((value) => (isGpuValue(value) ? (read.shift() as Tensor) : copyOf(value)));
  }

  drop(values: readonly KeptValue[]): void {
    for (const { id } of values) {
      const value = this.#kept.get(id);
      if (value && isGpuValue(value)) value.buffer.destroy();
      this.#kept.delete(id);
    }
  }

  /**
   * Copies the outputs that stay on the GPU, and asks for the outputs that come back. ONNX Runtime's own buffers are given
   * back at once: it would keep them until the next run ends, or until the model is unloaded.
   */
  #take(
    results: Ort.InferenceSession.ReturnType,
    { parts, keep, fetch }: LaneRun,
    copied: GPUBuffer[],
  ): UnderWay<Outputs> {
    const here = new Map<string, Tensor>();
    const stay = new Map<string, readonly LaneValue[]>();
    const wanted: GpuValue[] = [];
    try {
      for (const [name, result] of Object.entries(results)) {
        const value = laneValue(name, result);
        if (parts.length > 1) checkRows(name, value.shape, parts);
        if (!isGpuValue(value)) {
          here.set(name, value);
          continue;
        }
        const split = keep.includes(name) ? this.#copies.split(value, parts) : undefined;
        for (const { buffer } of split ?? []) copied.push(buffer);
        if (split) stay.set(name, split);
        if (!split || fetch.includes(name)) wanted.push(value);
      }
      const result = this.#copies.read(wanted).then((read): Outputs => {
        for (const tensor of read) here.set(tensor.name, tensor);
        const kept = keep.map((name) => [name, stay.get(name) ?? copies(here.get(name) as Tensor, parts)]);
        const fetched = fetch.map((name) => [name, splitRows(here.get(name) as Tensor, parts)]);
        return { kept: Object.fromEntries(kept), fetched: Object.fromEntries(fetched) };
      });
      return { result };
    } finally {
      for (const tensor of Object.values(results)) {
        const buffer = tensor.location === 'gpu-buffer' ? tensor.gpuBuffer : undefined;
        tensor.dispose();
        (buffer as GPUBuffer | undefined)?.destroy();
      }
    }
  }

  #fed(value: LaneValue): Ort.Tensor {
    if (isGpuValue(value)) {
      const dataType = ortType(value.datatype) as Ort.Tensor.GpuBufferDataTypes;
      return this.#ort.Tensor.fromGpuBuffer(value.buffer, { dataType, dims: [...value.shape] });
    }
    const { type, data, dims } = toOrt(value);
    return new this.#ort.Tensor(type, data as Float32Array, dims);
  }

  #keep(value: LaneValue): KeptValue {
    const id = ++this.#lastKept;
    this.#kept.set(id, value);
    return { lane: this.#lane, id, name: value.name, shape: value.shape };
  }

  #valueOf(value: Tensor | KeptValue): LaneValue {
    if (!isKept(value)) return value;
    const kept = value.lane === this.#lane ? this.#kept.get(value.id) : undefined;
    if (!kept) throw new RunError(`Value ${value.id} ("${value.name}") is not on lane ${this.#lane}.`);
    return kept;
  }
}

function laneValue(name: string, result: Ort.Tensor): LaneValue {
  // Its constructor has made sure of the type.
  if (result.location !== 'gpu-buffer') return fromOrt(name, result as HostTensor);
  const { datatype, shape } = fromOrt(name, { type: result.type, data: new Uint8Array(), dims: result.dims });
  return { name, datatype, shape, buffer: result.gpuBuffer as GPUBuffer };
}

/** Parts with memory of their own, also where it is one. */
function copies(value: Tensor, counts: readonly number[]): Tensor[] {
  return counts.length === 1 ? [copyOf(value)] : splitRows(value, counts);
}

function copyOf(value: Tensor): Tensor {
  return joinRows(value.name, [{ value, from: 0, count: rowsOf(value.shape) }]);
}
