import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto } from 'onnx-buf';
import type { Libraries } from './libraries.js';

/** A model as its file has it. */
export type Model = ModelProto;

/** Bytes of an element, by ONNX's number of its type. Types without numbers, such as text, are missing. */
const BYTES: Readonly<Record<number, number>> = {
  1: 4,
  2: 1,
  3: 1,
  4: 2,
  5: 2,
  6: 4,
  7: 8,
  9: 1,
  10: 2,
  11: 8,
  12: 4,
  13: 8,
  16: 2,
};

/** Bytes of an element of this type. Throws an Error for text and other types that cannot be cut. */
export function bytesOfType(dataType: number): number {
  const bytes = BYTES[dataType];
  if (bytes === undefined)
    throw new Error(`tensors of ONNX's data type ${dataType} cannot be laid over hosts`);
  return bytes;
}

/**
 * Reads the bytes of an ONNX file. Throws an Error if they are no ONNX file, if its weights lie in other files, or if it
 * has functions of its own.
 */
export function readModel(libraries: Libraries, bytes: Uint8Array): Model {
  const { onnx, protobuf } = libraries;
  let model: Model;
  try {
    // Node's Buffer would give Buffers, whose `slice` does not copy.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    model = protobuf.fromBinary(onnx.ModelProtoSchema, plain);
  } catch (error) {
    throw new Error('this is not an ONNX model', { cause: error });
  }
  if (!model.graph || model.graph.node.length === 0) throw new Error('this ONNX model has no graph');
  const external = model.graph.initializer.find(({ externalData }) => externalData.length > 0);
  if (external)
    throw new Error(
      `the weights of this model lie in files beside it ("${external.name}"): save the model with its weights in one file`,
    );
  const isOwn = ({ domain, opType }: NodeProto) =>
    model.functions.some((one) => one.domain === domain && one.name === opType);
  const own = model.graph.node.find(isOwn);
  if (own)
    throw new Error(
      `node "${own.name}" (${own.opType}) is a function of the model itself, which does not go to hosts: put it into the graph with onnx.inliner.inline_local_functions of Python`,
    );
  makeOutputs(libraries, model.graph);
  return model;
}

/** Lets a node make each output that is a weight: hosts give what their nodes make. The weight gets another name. */
function makeOutputs({ onnx, protobuf }: Libraries, graph: GraphProto): void {
  const names = new Set([...graph.initializer, ...graph.input].map(({ name }) => name));
  for (const name of graph.node.flatMap(({ output }) => output)) names.add(name);
  for (const { name: output } of graph.output) {
    const weight = graph.initializer.find(({ name }) => name === output);
    if (!weight) continue;
    let name = `weight of ${output}`;
    while (names.has(name)) name += "'";
    names.add(name);
    weight.name = name;
    // A file of an older version also lists its weights as inputs.
    for (const input of graph.input) if (input.name === output) input.name = name;
    for (const node of graph.node) node.input = node.input.map((one) => (one === output ? name : one));
    const made = { name: output, opType: 'Identity', input: [name], output: [output] };
    graph.node.unshift(protobuf.create(onnx.NodeProtoSchema, made));
  }
}

/** A node's attributes, of the kinds that decide how it may be split. */
export function attributesOf(
  attributes: readonly AttributeProto[],
): Record<string, number | readonly number[] | string> {
  const read: Record<string, number | readonly number[] | string> = {};
  for (const attribute of attributes) {
    // The numbers of AttributeProto.AttributeType.
    if (attribute.type === 1) read[attribute.name] = attribute.f;
    else if (attribute.type === 2) read[attribute.name] = Number(attribute.i);
    else if (attribute.type === 3) read[attribute.name] = new TextDecoder().decode(attribute.s);
    else if (attribute.type === 7) read[attribute.name] = attribute.ints.map(Number);
  }
  return read;
}

/** The version of ONNX's own operator set that a model uses. */
export function opsetOf(model: Model): number {
  return Number(model.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 1n);
}

/** The shape of a constant. */
export function shapeOf(tensor: TensorProto): number[] {
  return tensor.dims.map(Number);
}
