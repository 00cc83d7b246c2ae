import type { NodeProto } from 'onnx-buf';
import type { LogicalGraph, LogicalNode, LogicalTensor } from '../plan/graph.js';
import type { OperatorView } from '../signatures/operator.js';
import { signaturesOf } from '../signatures/table.js';
import { attributesOf, bytesOfType, type Model, opsetOf } from './model.js';
import { inputsOf, type Observed, seenIn } from './observe.js';

const RANDOM: ReadonlySet<string> = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

/** A node of a logical graph as the model's file has it, and as the rules of its operator see it. */
export interface Operator {
  readonly proto: NodeProto;
  readonly view: OperatorView;
  /** Its results follow from chance or from the values of the model's inputs, and not only from their shapes. */
  readonly isOfValues: boolean;
}

/** The graph of a model whose shapes were observed, with the operator of each of its nodes. */
export interface ObservedGraph {
  readonly graph: LogicalGraph;
  readonly operators: readonly Operator[];
}

/**
 * The graph of a model whose shapes were observed. A node whose outputs are the same in each run (a constant, the shape
 * of a tensor) is left out, and its outputs count as weights.
 */
export function logicalGraph(model: Model, observed: ReadonlyMap<string, Observed>): ObservedGraph {
  const { graph } = model;
  if (!graph) throw new Error('this ONNX model has no graph');
  const constant = new Set(graph.initializer.map(({ name }) => name));
  const given = new Set(graph.output.map(({ name }) => name));
  /** Tensors whose values differ from run to run, so that the values of the run that shows shapes say nothing. */
  const changing = new Set(inputsOf(model).map(({ name }) => name));
  const nodes: LogicalNode[] = [];
  const operators: Operator[] = [];
  const seen = (name: string) => seenIn(observed, name);
  const used = new Set<string>();
  for (const [index, proto] of graph.node.entries()) {
    const inputs = proto.input.filter(Boolean);
    const outputs = proto.output.filter(Boolean);
    const isKnown = outputs.every((name) => seen(name).values !== undefined);
    const isShape = proto.opType === 'Shape' || proto.opType === 'Size';
    const runsAlone = isRandom(proto);
    const isOfValues = runsAlone || (!isShape && inputs.some((name) => changing.has(name)));
    if (isOfValues) for (const name of outputs) changing.add(name);
    // The program gets its outputs from hosts, even one that is always the same.
    const isOutput = outputs.some((name) => given.has(name));
    if (!isOutput && isConstant(proto, inputs, constant, isKnown)) {
      for (const name of outputs) constant.add(name);
      continue;
    }
    const all: OperatorView = {
      operator: proto.opType,
      attributes: attributesOf(proto.attribute),
      opset: opsetOf(model),
      inputs: proto.input.map((name) => {
        if (!name) return undefined;
        return changing.has(name) ? { ...seen(name), values: undefined } : seen(name);
      }),
      outputs: outputs.map(seen),
    };
    // Omitted inputs have no descriptor.
    const named = [...proto.input.keys()].filter((at) => proto.input[at]);
    const node: LogicalNode = {
      name: proto.name || `${proto.opType} ${index}`,
      operator: proto.opType,
      inputs,
      outputs,
      signatures: signaturesOf(all).map((one) => ({
        ...one,
        inputs: named.map((at) => one.inputs[at] ?? 'B'),
      })),
      operations: operationsOf(all),
      ...(runsAlone && { runsAlone }),
    };
    nodes.push(node);
    operators.push({ proto, view: all, isOfValues });
    for (const name of [...inputs, ...outputs]) used.add(name);
  }
  const inputs = inputsOf(model).map(({ name }) => name);
  const outputs = graph.output.map(({ name }) => name);
  const tensors = new Map<string, LogicalTensor>();
  for (const name of new Set([...used, ...inputs, ...outputs])) {
    const { shape, dataType, varying } = seen(name);
    tensors.set(name, { name, shape, bytesPerElement: bytesOfType(dataType), varying });
  }
  const weights = new Set([...used].filter((name) => constant.has(name)));
  return { graph: { tensors, nodes, inputs, outputs, weights }, operators };
}

/** Whether a node has the same outputs in each run: it gives a shape that is known, or its inputs are constants. */
function isConstant(
  proto: NodeProto,
  inputs: readonly string[],
  constant: ReadonlySet<string>,
  isKnown: boolean,
): boolean {
  if (isRandom(proto)) return false;
  if (proto.opType === 'Shape' || proto.opType === 'Size') return isKnown;
  return inputs.every((name) => constant.has(name));
}

/** Whether a node has other outputs in each run and on each host. A Dropout has them if its third input says so. */
function isRandom({ opType, input }: NodeProto): boolean {
  return RANDOM.has(opType) || (opType === 'Dropout' && Boolean(input[2]));
}

/** About how many multiplications and additions a node takes: two for each product, or one for each element. */
function operationsOf({ operator, inputs, outputs, attributes }: OperatorView): number {
  const size = (shape: readonly number[] | undefined) =>
    (shape ?? []).reduce((product, length) => product * length, 1);
  const made = outputs.reduce((sum, { shape }) => sum + size(shape), 0);
  const [first, second] = [inputs[0]?.shape ?? [], inputs[1]?.shape ?? []];
  switch (operator) {
    case 'MatMul':
      return 2 * made * (first.at(-1) ?? 1);
    case 'Gemm':
      return 2 * made * (first[attributes.transA ? 0 : 1] ?? 1);
    case 'Conv':
      return 2 * made * size(second.slice(1));
    case 'ConvTranspose':
      return 2 * size(first) * size(second.slice(1));
    case 'MultiHeadAttention':
      return 4 * size(first) * (second[1] ?? 1);
    default:
      return made;
  }
}
