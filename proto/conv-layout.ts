// ONNX Runtime Web 1.30 computes some convolutions wrongly in its default layout, NHWC: docs/silero.md says which, and why.

/** A layout of tensors that ONNX Runtime can compute convolutions in. */
export type ConvLayout = 'NCHW' | 'NHWC';

/** The layout in which all convolutions with weights of these shapes are right. */
export function rightLayoutFor(shapes: readonly (readonly number[])[]): ConvLayout {
  return shapes.some(isWrongInNhwc) ? 'NCHW' : 'NHWC';
}

/** Whether a convolution with weights of this shape is wrong there: output channels, input channels, and the kernel. */
function isWrongInNhwc([outputs = 0, inputs = 0, ...kernel]: readonly number[]): boolean {
  if (!kernel.some((length) => length > 1)) return false;
  return inputs > 3 && inputs % 3 === 0 && inputs % 4 !== 0 && outputs % 4 === 0;
}
