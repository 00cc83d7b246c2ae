import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { rightLayout } from '#farlight/infer/lanes/gpu/conv-layout.js';
import { onnxBytes } from './models.js';

/** A convolution over `inputs` channels with `outputs` filters of this length. */
function convolution(inputs: number, outputs: number, kernel: number): Uint8Array {
  return onnxBytes({
    inputs: [{ name: 'x', type: 'FP32', shape: [1, inputs, 16] }],
    outputs: [{ name: 'y', type: 'FP32', shape: [1, outputs, 'length'] }],
    nodes: [{ operator: 'Conv', inputs: ['x', 'w'], outputs: ['y'] }],
    weights: {
      w: { shape: [outputs, inputs, kernel], values: new Float32Array(outputs * inputs * kernel) },
    },
  });
}

describe('the layout of a model', () => {
  it.each([
    [129, 128, 3],
    [6, 128, 3],
    [9, 8, 2],
  ])(
    'the layout is NCHW for a convolution of %i to %i channels with a kernel of %i',
    (inputs, outputs, kernel) => {
      expect(rightLayout(convolution(inputs, outputs, kernel))).toBe('NCHW');
    },
  );

  it.each([
    [3, 32, 3],
    [12, 32, 3],
    [129, 127, 3],
    [129, 128, 1],
    [64, 128, 3],
  ])(
    'is the default for a convolution of %i to %i channels with a kernel of %i',
    (inputs, outputs, kernel) => {
      expect(rightLayout(convolution(inputs, outputs, kernel))).toBe('NHWC');
    },
  );

  it('the layout is NCHW for Silero, whose convolutions are in the branches of an If', () => {
    const package_ = import.meta.resolve('@ricky0123/vad-web/package.json');
    const file = fileURLToPath(new URL('./dist/silero_vad_v5.onnx', package_));
    expect(rightLayout(readFileSync(file))).toBe('NCHW');
  });

  it('the layout is the default for bytes that are no model', () => {
    expect(rightLayout(new Uint8Array([255, 255, 255]))).toBe('NHWC');
  });
});
