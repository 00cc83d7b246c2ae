import {
  axisOf,
  inputsOf,
  isOfWholeNumbers,
  numberOf,
  numbersOf,
  type OperatorView,
  outputsOf,
  type Rule,
  signature,
} from './operator.js';

/** Splits each axis of the first input that is not normalised over. The learned inputs are the same on each host. */
function splitsBut(node: OperatorView, isNormalised: (axis: number) => boolean) {
  const shape = node.inputs[0]?.shape ?? [];
  return [...shape.keys()]
    .filter((axis) => !isNormalised(axis) && (shape[axis] as number) > 1)
    .map((axis) => signature(inputsOf(node, 'B', { 0: axis }), outputsOf(node, axis)));
}

/** Normalised along one axis. Before operator set 13 it is all axes from that one on. */
const softmax: Rule = (node) => {
  const rank = node.inputs[0]?.shape.length ?? 0;
  const axis = axisOf(numberOf(node, 'axis', node.opset >= 13 ? -1 : 1), rank);
  return splitsBut(node, (one) => (node.opset >= 13 ? one === axis : one >= axis));
};

/** Normalised from one axis on, with learned values for those axes. */
const layerNormalization: Rule = (node) => {
  const rank = node.inputs[0]?.shape.length ?? 0;
  const axis = axisOf(numberOf(node, 'axis', -1), rank);
  const shape = node.inputs[0]?.shape ?? [];
  return [...shape.keys()]
    .filter((one) => one < axis && (shape[one] as number) > 1)
    .map((one) => signature(inputsOf(node, 'B', { 0: one }), outputsOf(node, one)));
};

/** Splits the batch, or the channels together with their learned values. */
const channelNormalization: Rule = (node) => [
  signature(inputsOf(node, 'B', { 0: 0 }), outputsOf(node, 0)),
  signature(inputsOf(node, 0, { 0: 1 }), outputsOf(node, 1)),
];

/** Splits the batch or the channels: a window never reaches from one to another. A second output counts in the whole tensor. */
const pool: Rule = (node) =>
  node.outputs.length > 1
    ? []
    : [
        signature(inputsOf(node, 'B', { 0: 0 }), outputsOf(node, 0)),
        signature(inputsOf(node, 'B', { 0: 1 }), outputsOf(node, 1)),
      ];

/** The same for averages of windows, which terms pass through. */
const averagePool: Rule = (node) => [...pool(node), signature(['P'], ['P'])];

/** Splits the axes that are kept. A sum over a split axis leaves terms. */
const reduce: Rule = (node) => {
  const shape = node.inputs[0]?.shape ?? [];
  const isOneAxis = node.operator.startsWith('Arg');
  const named = isOneAxis ? [numberOf(node, 'axis', 0)] : numbersOf(node, 'axes', 1);
  if (!named && node.inputs[1]) return [];
  const isNothing = !isOneAxis && !named?.length && numberOf(node, 'noop_with_empty_axes', 0) !== 0;
  const reduced = new Set(
    (isNothing || named?.length ? (named ?? []) : [...shape.keys()]).map((axis) =>
      axisOf(axis, shape.length),
    ),
  );
  const isKept = numberOf(node, 'keepdims', 1) !== 0;
  const after = (axis: number) => (isKept ? axis : axis - [...reduced].filter((one) => one < axis).length);
  const signatures = [...shape.keys()]
    .filter((axis) => !reduced.has(axis) && (shape[axis] as number) > 1)
    .map((axis) => signature(inputsOf(node, 'B', { 0: axis }), [after(axis)]));
  if (node.operator === 'ReduceSum')
    for (const axis of reduced)
      if ((shape[axis] as number) > 1) signatures.push(signature(inputsOf(node, 'B', { 0: axis }), ['P']));
  if (node.operator === 'ReduceSum' || (node.operator === 'ReduceMean' && !isOfWholeNumbers(node)))
    signatures.push(signature(inputsOf(node, 'B', { 0: 'P' }), ['P']));
  return signatures;
};

export const REDUCTIONS: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    ['ArgMax', 'ArgMin', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceProd', 'ReduceSum'].map(
      (operator) => [operator, reduce],
    ),
  ),
  AveragePool: averagePool,
  BatchNormalization: channelNormalization,
  GlobalAveragePool: averagePool,
  GlobalMaxPool: pool,
  InstanceNormalization: channelNormalization,
  LayerNormalization: layerNormalization,
  LogSoftmax: softmax,
  MaxPool: pool,
  SimplifiedLayerNormalization: layerNormalization,
  Softmax: softmax,
};
