// ONNX Runtime has a kernel of Clip for GPUs from opset 11 on, where its bounds are inputs. Before that they are
// attributes, and each Clip of a model runs on the CPU: its tensor is brought back, clipped, and uploaded again. Many
// networks of phones have one behind each convolution.

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
  if (!graph || graphs.length > 1 || !opset || !FROM.includes(version(opset.bytes))) return undefined;
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
  return concat(
    fields.map((field) => {
      if (field === graph) return bytesField(MODEL.graph, concat([...nodes, ...parts]));
      return field === opset ? bytesField(MODEL.opset, varintField(OPSET.version, TO)) : field.whole;
    }),
  );
}

/** The node with its attributes as inputs, for which `constants` gets nodes. */
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
  return concat([
    ...node.filter(({ number }) => number !== NODE.attribute).map(({ whole }) => whole),
    // An input without a name is left out.
    ...Array.from(inputs, (name = '') => bytesField(NODE.input, encoder.encode(name))),
  ]);
}

/** The value of an attribute, a number or a list of integers, as a TensorProto. */
function tensorOf(attribute: readonly Field[]): Uint8Array {
  const integers = attribute.filter(({ number }) => number === ATTRIBUTE.integers);
  if (integers.length === 0) {
    // Protobuf may leave out a number that is 0.
    const float = attribute.find(({ number }) => number === ATTRIBUTE.float)?.bytes ?? new Uint8Array(4);
    return concat([varintField(TENSOR.dataType, TENSOR.float), bytesField(TENSOR.raw, float)]);
  }
  // Each is a field, or all of them are one.
  const values = integers.flatMap(({ bytes }) => [...varintsIn(bytes)]);
  const raw = new Uint8Array(BigInt64Array.from(values, (value) => BigInt.asIntN(64, value)).buffer);
  return concat([
    varintField(TENSOR.dims, BigInt(values.length)),
    varintField(TENSOR.dataType, TENSOR.int64),
    bytesField(TENSOR.raw, raw),
  ]);
}

/** A node that gives a tensor. Initializers of old models would have to be inputs, too. */
function constantNode(name: string, tensor: Uint8Array): Uint8Array {
  const attribute = concat([
    bytesField(ATTRIBUTE.name, encoder.encode('value')),
    bytesField(ATTRIBUTE.tensor, tensor),
    varintField(ATTRIBUTE.type, TENSOR_TYPE),
  ]);
  return concat([
    bytesField(NODE.output, encoder.encode(name)),
    bytesField(NODE.operator, encoder.encode('Constant')),
    bytesField(NODE.attribute, attribute),
  ]);
}

function isDefault(opset: Uint8Array): boolean {
  return ['', 'ai.onnx'].includes(textOf([...fieldsOf(opset)], OPSET.domain));
}

function version(opset: Uint8Array): bigint {
  const field = [...fieldsOf(opset)].find(({ number }) => number === OPSET.version);
  return field ? readVarint(field.bytes, 0).value : 0n;
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

// Protobuf, as far as it is needed here.

interface Field {
  readonly number: number;
  /** Its value: a number as it is encoded, or what a field of bytes holds. */
  readonly bytes: Uint8Array;
  /** With its number and its length. */
  readonly whole: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @throws RangeError where these bytes are no message */
function* fieldsOf(message: Uint8Array): Generator<Field> {
  for (let at = 0; at < message.length; ) {
    const start = at;
    const tag = readVarint(message, at);
    let from = tag.end;
    let to: number;
    const wire = Number(tag.value & 7n);
    if (wire === 0) to = readVarint(message, from).end;
    else if (wire === 1) to = from + 8;
    else if (wire === 5) to = from + 4;
    else if (wire === 2) {
      const length = readVarint(message, from);
      from = length.end;
      to = from + Number(length.value);
    } else throw new RangeError(`protobuf has no wire type ${wire}`);
    if (to > message.length) throw new RangeError('a field is longer than its message');
    at = to;
    yield {
      number: Number(tag.value >> 3n),
      bytes: message.subarray(from, to),
      whole: message.subarray(start, to),
    };
  }
}

function* varintsIn(bytes: Uint8Array): Generator<bigint> {
  for (let at = 0; at < bytes.length; ) {
    const { value, end } = readVarint(bytes, at);
    yield value;
    at = end;
  }
}

function readVarint(bytes: Uint8Array, at: number): { value: bigint; end: number } {
  let value = 0n;
  for (let index = at; index < at + 10; index += 1) {
    const byte = bytes[index];
    if (byte === undefined) break;
    value |= BigInt(byte & 127) << BigInt(7 * (index - at));
    if (byte < 128) return { value, end: index + 1 };
  }
  throw new RangeError('a number ends too late');
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

function varintField(number: number, value: bigint): Uint8Array {
  return concat([varint(BigInt(number) << 3n), varint(value)]);
}

function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  return concat([varint((BigInt(number) << 3n) | 2n), varint(BigInt(bytes.length)), bytes]);
}

function textOf(fields: readonly Field[], number: number): string {
  const field = fields.find((each) => each.number === number);
  return field ? decoder.decode(field.bytes) : '';
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
