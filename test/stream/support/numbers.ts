import type { Tensor } from '#farlight/infer/service/tensor.js';

/** A whole number as a tensor. */
export function tensorOf(value: number): Tensor {
  return { name: 'x', datatype: 'INT32', shape: [1], data: new Uint8Array(Int32Array.of(value).buffer) };
}

export function numberOf({ data }: Tensor): number {
  return new Int32Array((data as Uint8Array).slice().buffer)[0] as number;
}
