/**
 * A tensor that lies on the hosts: each has its part. It is an output that the model's state names, and goes
 * into a later run as an input. Like ONNX Runtime's tensors on a GPU it stays until it is disposed.
 */
export class HostTensor {
  readonly location = 'gpu-buffer';
  readonly model: object;
  /** The name of the output that it was. */
  readonly output: string;
  readonly type: string;
  readonly dims: readonly number[];
  /** Its name on each host. */
  readonly values: ReadonlyMap<number, string>;
  #free: (() => void) | undefined;

  constructor(
    model: object,
    output: string,
    type: string,
    dims: readonly number[],
    values: ReadonlyMap<number, string>,
    free: () => void,
  ) {
    this.model = model;
    this.output = output;
    this.type = type;
    this.dims = dims;
    this.values = values;
    this.#free = free;
  }

  get size(): number {
    return this.dims.reduce((product, size) => product * size, 1);
  }

  get isDisposed(): boolean {
    return this.#free === undefined;
  }

  /** Frees its memory on the hosts. */
  dispose(): void {
    this.#free?.();
    this.#free = undefined;
  }
}
