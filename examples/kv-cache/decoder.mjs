// A decoder step as in a language model: attention of one head over all positions so far. Their keys and
// values are kept from step to step. The weights are random, but the same each time.
import { randomArray } from '../support/random.mjs';
import { node, onnxModel, tensor, value } from '../transformers/onnx-file.mjs';

export const HIDDEN = 128;

/**
 * Takes a position, and the keys and values of all positions before. Returns the output, and all keys and
 * values.
 */
export function decoderModel() {
  const square = (name, seed) =>
    tensor(name, [HIDDEN, HIDDEN], randomArray(HIDDEN * HIDDEN, seed, 4 / Math.sqrt(HIDDEN)));
  const cache = (name, positions) => value(name, 'float32', [1, positions, HIDDEN]);
  return onnxModel({
    name: 'decoder',
    inputs: [cache('x', 1), cache('past_keys', 'past'), cache('past_values', 'past')],
    outputs: [cache('y', 1), cache('keys', 'all'), cache('values', 'all')],
    tensors: [
      ...['wq', 'wk', 'wv', 'wo'].map((name, seed) => square(name, seed + 1)),
      tensor('scale', [], Float32Array.of(1 / Math.sqrt(HIDDEN))),
    ],
    nodes: [
      node('MatMul', ['x', 'wq'], 'query'),
      node('MatMul', ['x', 'wk'], 'key'),
      node('MatMul', ['x', 'wv'], 'value'),
      node('Concat', ['past_keys', 'key'], 'keys', { axis: 1 }),
      node('Concat', ['past_values', 'value'], 'values', { axis: 1 }),
      node('Transpose', ['keys'], 'columns', { perm: [0, 2, 1] }),
      node('MatMul', ['query', 'columns'], 'products'),
      node('Mul', ['products', 'scale'], 'scores'),
      node('Softmax', ['scores'], 'shares', { axis: 2 }),
      node('MatMul', ['shares', 'values'], 'mixed'),
      node('MatMul', ['mixed', 'wo'], 'out'),
      node('Tanh', ['out'], 'y'),
    ],
  });
}
