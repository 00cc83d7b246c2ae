// A small network of the shape of MeshNet: convolutions over three dimensions, with dilation, and the scores of classes.
import { node, onnxModel, tensor, value } from '../transformers/onnx-file.mjs';

/** Of a voxel between 0 and 1: where the air ends, and where a ball begins. */
const BODY = 0.24;
const BALL = 0.72;

/**
 * The bytes of an ONNX file. It takes blocks of a scan, `input` [n, 1, d, h, w] from 0 to 1, and gives the scores of three
 * classes, `output` [n, 3, d, h, w]: air, body, ball.
 */
export function ballNetwork() {
  const weights = [
    // Blurs, against noise.
    tensor(
      'blur',
      [1, 1, 3, 3, 3],
      kernel((x, y, z) => (2 - x) * (2 - y) * (2 - z) * (1 / 64)),
    ),
    // Sharpens as much as the first has blurred: balls would shrink otherwise.
    tensor(
      'sharpen',
      [1, 1, 3, 3, 3],
      kernel((x, y, z) => [1 + 6 / 16, -1 / 16, 0, 0][x + y + z]),
    ),
    // Three lines: each class has the greatest score where it should.
    tensor('slopes', [3, 1, 1, 1, 1], Float32Array.of(0, 1, 2)),
    tensor('offsets', [3], Float32Array.of(0, -BODY, -BODY - BALL)),
  ];
  const space = ['d', 'h', 'w'];
  const around = (distance) => ({
    kernel_shape: [3, 3, 3],
    pads: Array(6).fill(distance),
    dilations: Array(3).fill(distance),
  });
  return onnxModel({
    name: 'balls',
    inputs: [value('input', 'float32', ['n', 1, ...space])],
    outputs: [value('output', 'float32', ['n', 3, ...space])],
    tensors: weights,
    nodes: [
      node('Conv', ['input', 'blur'], 'blurred', around(1)),
      node('Relu', ['blurred'], 'smooth'),
      node('Conv', ['smooth', 'sharpen'], 'sharpened', around(2)),
      node('Relu', ['sharpened'], 'clear'),
      node('Conv', ['clear', 'slopes', 'offsets'], 'output', { kernel_shape: [1, 1, 1] }),
    ],
  });
}

/** The weights of 3 x 3 x 3 neighbours, by how far each is from the middle in each direction. */
function kernel(weight) {
  const away = [1, 0, 1];
  return Float32Array.from(away.flatMap((z) => away.flatMap((y) => away.map((x) => weight(x, y, z)))));
}
