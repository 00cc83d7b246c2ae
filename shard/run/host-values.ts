import { arrayOf, bytesPerElement, type Values, valuesOf } from './values.js';

type Ort = typeof import('onnxruntime-web/webgpu');
type OrtTensor = import('onnxruntime-web/webgpu').Tensor;

/** A value on the host. `own`: a buffer that this class made, and destroys. */
interface Value {
  readonly tensor: OrtTensor;
  readonly own: GPUBuffer | undefined;
}

/** The values that lie on one host, by name. */
export class HostValues {
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #values = new Map<string, Value>();
  /** The buffer that results are read from. It grows with what is fetched at once. */
  #staging: GPUBuffer | undefined;

  constructor(ort: Ort, device: GPUDevice) {
    this.#ort = ort;
    this.#device = device;
  }

  /** Keeps a tensor that ONNX Runtime made. */
  keep(name: string, tensor: OrtTensor): void {
    this.#values.set(name, { tensor, own: undefined });
  }

  has(tensor: OrtTensor): boolean {
    return [...this.#values.values()].some((value) => value.tensor === tensor);
  }

  /** Lays a value on the GPU. Whole numbers stay here: ONNX Runtime reads most of them on the CPU. */
  put(name: string, { type, dims, data }: Values): void {
    const { Tensor } = this.#ort;
    if ((type !== 'float32' && type !== 'float16') || data.byteLength === 0) {
      const tensor = new Tensor(type as 'float32', arrayOf(type, data) as Float32Array, dims);
      this.#values.set(name, { tensor, own: undefined });
      return;
    }
    this.lay(name, this.upload({ type, dims, data }), type, dims);
  }

  /** Makes a value of a buffer, which then belongs to it. */
  lay(name: string, own: GPUBuffer, type: string, dims: readonly number[]): void {
    const dataType = type as 'float32';
    this.#values.set(name, { tensor: this.#ort.Tensor.fromGpuBuffer(own, { dataType, dims }), own });
  }

  /** A buffer for so many bytes. ONNX Runtime binds buffers of whole blocks of 16 bytes. */
  buffer(bytes: number): GPUBuffer {
    return this.#device.createBuffer({
      size: Math.ceil(bytes / 16) * 16,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** A new buffer with these values. */
  upload({ data }: Values): GPUBuffer {
    const own = this.buffer(data.byteLength);
    // WebGPU writes whole words.
    const rest = data.byteLength % 4;
    this.#device.queue.writeBuffer(own, 0, data, 0, data.byteLength - rest);
    if (rest > 0) {
      const last = new Uint8Array(4);
      last.set(data.subarray(data.byteLength - rest));
      this.#device.queue.writeBuffer(own, data.byteLength - rest, last);
    }
    return own;
  }

  get(name: string): OrtTensor {
    const value = this.#values.get(name);
    if (!value) throw new Error(`Farlight bug: the value "${name}" is not on this host`);
    return value.tensor;
  }

  drop(name: string): void {
    const value = this.#values.get(name);
    this.#values.delete(name);
    value?.tensor.dispose();
    value?.own?.destroy();
  }

  /** Reads results, all of them with one wait. */
  async fetch(tensors: readonly OrtTensor[]): Promise<Values[]> {
    const sizes = tensors.map(({ type, size }) => size * bytesPerElement(type));
    const isOnGpu = (tensor: OrtTensor) => tensor.location === 'gpu-buffer';
    let total = 0;
    const offsets = tensors.map((tensor, at) => {
      const offset = total;
      if (isOnGpu(tensor)) total += Math.ceil((sizes[at] as number) / 8) * 8;
      return offset;
    });
    const device = this.#device;
    if (total > 0) {
      if (!this.#staging || this.#staging.size < total) {
        this.#staging?.destroy();
        const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
        this.#staging = device.createBuffer({ size: total, usage });
      }
      const encoder = device.createCommandEncoder();
      for (const [at, tensor] of tensors.entries()) {
        const size = Math.ceil((sizes[at] as number) / 4) * 4;
        if (isOnGpu(tensor) && size > 0)
          encoder.copyBufferToBuffer(
            tensor.gpuBuffer as GPUBuffer,
            0,
            this.#staging,
            offsets[at] as number,
            size,
          );
      }
      device.queue.submit([encoder.finish()]);
      await this.#staging.mapAsync(GPUMapMode.READ, 0, total);
    }
    const mapped = total > 0 ? this.#staging?.getMappedRange(0, total) : undefined;
    const fetched = tensors.map((tensor, at): Values => {
      const { type, dims } = tensor;
      const [offset, size] = [offsets[at] as number, sizes[at] as number];
      if (isOnGpu(tensor) && mapped)
        return { type, dims, data: new Uint8Array(mapped.slice(offset, offset + size)) };
      return valuesOf(tensor);
    });
    if (mapped) this.#staging?.unmap();
    return fetched;
  }
}
