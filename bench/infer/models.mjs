// The models that the bursts ask for: two convolutions, and a sum that takes memory. All are of one kind, of unlike size.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { node, onnxModel, tensor, value } from '../../examples/transformers/onnx-file.mjs';

const CHANNELS = 8;
/** Of the model of size 1: the sides of its picture, and the columns of the sum. */
const SIDE = 4;
const COLUMNS = 512;

/** The shape of an item. Memory and time of a model of size s are about s times those of the first. */
export function shapeOf(size) {
  const side = SIDE * Math.sqrt(size);
  return [3, side, side];
}

/** Writes a folder with a model of each size, m0, m1 and so on; returns their names. `maxBatch` is that of all. */
export function writeModels(folder, sizes, maxBatch) {
  return sizes.map((size, index) => {
    const name = `m${index}`;
    mkdirSync(join(folder, name, '1'), { recursive: true });
    // Each has weights of its own, so that no two are the same file.
    writeFileSync(join(folder, name, '1', 'model.onnx'), network(name, size, index + 1));
    writeFileSync(join(folder, name, 'config.yaml'), `maxBatch: ${maxBatch}\n`);
    return name;
  });
}

function network(name, size, seed) {
  const columns = COLUMNS * size;
  const kernel = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
  return onnxModel({
    name,
    inputs: [value('x', 'float32', ['n', ...shapeOf(size)])],
    outputs: [value('y', 'float32', ['n', CHANNELS])],
    tensors: [
      weights('first', [CHANNELS, 3, 3, 3], seed),
      weights('second', [CHANNELS, CHANNELS, 3, 3], seed),
      weights('wide', [1, CHANNELS, 1, columns], seed),
      tensor('flat', [2], BigInt64Array.of(-1n, BigInt(CHANNELS))),
    ],
    nodes: [
      node('Conv', ['x', 'first'], 'a', kernel),
      node('Relu', ['a'], 'b'),
      node('Conv', ['b', 'second'], 'c', kernel),
      node('GlobalAveragePool', ['c'], 'd'),
      node('Add', ['d', 'wide'], 'e'),
      node('ReduceMean', ['e'], 'f', { axes: [3] }),
      node('Reshape', ['f', 'flat'], 'y'),
    ],
  });
}

function weights(name, dims, seed) {
  const length = dims.reduce((product, each) => product * each, 1);
  return tensor(
    name,
    dims,
    Float32Array.from({ length }, (_, at) => Math.sin(seed * at) / 100),
  );
}
