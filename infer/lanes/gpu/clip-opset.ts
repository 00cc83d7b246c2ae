// ONNX Runtime has a kernel of Clip for GPUs from opset 11 on, where its bounds are inputs. Before that they are
// attributes, and each Clip of a model runs on the CPU: its tensor is brought back, clipped, and uploaded again. Many
// networks of phones have one behind each convolution.

import { joinBytes } from '../../service/tensor.js';
import {
  bytesField,
  type Field,
  fieldsOf,
  numberOf,
  textOf,
  utf8,
  varintField,
  varintsIn,
} from './protobuf.js';

/** Models of these opsets are raised to the next. */
const FROM = [9n, 10n];
const TO = 11n;

/** Operators whose attributes are inputs in opset 11, in this order. */
const INPUTS: Readonly<Record<string, readonly string[]>> = {
  Clip: ['min', 'max'],
  Slice: ['starts', 'ends', 'axes'],
};

/** Operators that mean the same in opset 9, 10 and 11, if their node is valid in the lower one. */
const SAME = new Set(
  [
    'Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Concat Constant ConstantOfShape Conv',
    'ConvTranspose DepthToSpace Div Dropout Elu Equal Erf Exp Expand Flatten Floor GRU Gather Gemm GlobalAveragePool',
    'GlobalMaxPool Greater HardSigmoid Identity InstanceNormalization LRN LSTM LeakyRelu Less Log LogSoftmax MatMul Max',
    'MaxPool Min Mul Neg Not Or PRelu Pow ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Shape Sigmoid Sign',
    'Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where',
  ].flatMap((line) => line.split(' ')),
);

/** The numbers of fields in onnx.proto3. */
const MODEL = { graph: 7, opset: 8 };
const OPSET = { domain: 1, version: 2 };
const GRAPH = { node: 1 };
const NODE = { input: 1, output: 2, operator: 4, attribute: 5, domain: 7 };
const ATTRIBUTE = { name: 1, float: 2, tensor: 5, graph: 6, integers: 8, graphs: 11, type: 20 };
/** With ONNX's numbers of two types of elements. */
const TENSOR = { dims: 1, dataType: 2, raw: 9, float: 1n, int64: 7n };
/** The type of an attribute that is a tensor. */
const TENSOR_TYPE = 4n;

/**
 * The model with opset 11, or undefined where nothing is to be gained, or where it could mean something else then. A file
 * that is no model is left to ONNX Runtime.
 */
export function raiseClipOpset(model: Uint8Array): Uint8Array | undefined {
  try {
    return raised(model);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function raised(model: Uint8Array): Uint8Array | undefined {
  const fields = [...fieldsOf(model)];
  const graphs = fields.filter(({ number }) => number === MODEL.graph);
  const [graph] = graphs;
  const opset = fields.find((field) => field.number === MODEL.opset && isDefault(field.bytes));
  if (
    !graph ||
    graphs.length > 1 ||
    !opset ||
    !FROM.includes(numberOf([...fieldsOf(opset.bytes)], OPSET.version))
  )
    return undefined;
  const constants = new Map<string, Uint8Array>();
  const parts: Uint8Array[] = [];
  let clips = 0;
  for (const field of fieldsOf(graph.bytes)) {
    if (field.number !== GRAPH.node) {
      parts.push(field.whole);
      continue;
    }
    const node = [...fieldsOf(field.bytes)];
    const operator = textOf(node, NODE.operator);
    if (textOf(node, NODE.domain) !== '' && textOf(node, NODE.domain) !== 'ai.onnx') parts.push(field.whole);
    else if (INPUTS[operator]) {
      parts.push(bytesField(GRAPH.node, withInputs(node, INPUTS[operator], constants)));
      if (operator === 'Clip') clips += 1;
    } else if (SAME.has(operator) && !hasSubgraph(node)) parts.push(field.whole);
    else return undefined;
  }
  if (clips === 0) return undefined;
  const nodes = [...constants.values()].map((constant) => bytesField(GRAPH.node, constant));
  return joinBytes(
    fields.map((field) => {
      if (field === graph) return bytesField(MODEL.graph, joinBytes([...nodes, ...parts]));
      return field === opset ? bytesField(MODEL.opset, varintField(OPSET.version, TO)) : field.whole;
    }),
  );
}

/** The node with its attributes as inputs. `constants` gets a node for each of these inputs. */
function withInputs(
  node: readonly Field[],
  names: readonly string[],
  constants: Map<string, Uint8Array>,
): Uint8Array {
  const inputs: string[] = [];
  for (const { number, bytes } of node) {
    if (number !== NODE.attribute) continue;
    const attribute = [...fieldsOf(bytes)];
    const tensor = tensorOf(attribute);
    const name = `farlight ${Buffer.from(tensor).toString('hex')}`;
    constants.set(name, constantNode(name, tensor));
    inputs[names.indexOf(textOf(attribute, ATTRIBUTE.name))] = name;
  }
  return joinBytes([
    ...node.filter(({ number }) => number !== NODE.attribute).map(({ whole }) => whole),
    // An input without a name is left out.
    ...Array.from(inputs, (name = '') => bytesField(NODE.input, utf8(name))),
  ]);
}

/** The value of an attribute, a number or a list of integers, as a TensorProto. */
function tensorOf(attribute: readonly Field[]): Uint8Array {
  const integers = attribute.filter(({ number }) => number === ATTRIBUTE.integers);
  if (integers.length === 0) {
    // Protobuf may leave out a number that is 0.
    const float = attribute.find(({ number }) => number === ATTRIBUTE.float)?.bytes ?? new Uint8Array(4);
    return joinBytes([varintField(TENSOR.dataType, TENSOR.float), bytesField(TENSOR.raw, float)]);
  }
  // Each is a field, or all of them are one.
  const values = integers.flatMap(({ bytes }) => [...varintsIn(bytes)]);
  const raw = new Uint8Array(BigInt64Array.from(values, (value) => BigInt.asIntN(64, value)).buffer);
  return joinBytes([
    varintField(TENSOR.dims, BigInt(values.length)),
    varintField(TENSOR.dataType, TENSOR.int64),
    bytesField(TENSOR.raw, raw),
  ]);
}

/** A node that gives a tensor. Initializers of old models would have to be inputs, too. */
function constantNode(name: string, tensor: Uint8Array): Uint8Array {
  const attribute = joinBytes([
    bytesField(ATTRIBUTE.name, utf8('value')),
    bytesField(ATTRIBUTE.tensor, tensor),
    varintField(ATTRIBUTE.type, TENSOR_TYPE),
  ]);
  return joinBytes([
    bytesField(NODE.output, utf8(name)),
    bytesField(NODE.operator, utf8('Constant')),
    bytesField(NODE.attribute, attribute),
  ]);
}

function isDefault(opset: Uint8Array): boolean {
  return ['', 'ai.onnx'].includes(textOf([...fieldsOf(opset)], OPSET.domain));
}

/** Nodes in a loop or a branch are not looked at. */
function hasSubgraph(node: readonly Field[]): boolean {
  return node.some(
    ({ number, bytes }) =>
      number === NODE.attribute &&
      [...fieldsOf(bytes)].some(
        (field) => field.number === ATTRIBUTE.graph || field.number === ATTRIBUTE.graphs,
      ),
  );
}
