import type { Tensor } from '#farlight/infer/service/tensor.js';

/** A whole number as a tensor. */
export function tensorOf(value: number): Tensor {
  return { name: 'x', datatype: 'INT32', shape: [1], data: new Uint8Array(Int32Array.of(value).buffer) };
}

/** @param tensor one of `tensorOf`. */
export function numberOf(tensor: Tensor | undefined): number {
  if (!tensor) throw new Error('there is no number');
  const { data } = tensor;
  return new Int32Array((data as Uint8Array).slice().buffer)[0] as number;
}
