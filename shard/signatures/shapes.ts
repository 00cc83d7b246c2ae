import type { Placement } from '../layout/descriptor.js';
import type { Signature } from '../plan/graph.js';
import {
  axisOf,
  inputsOf,
  numberOf,
  numbersOf,
  type OperatorView,
  outputsOf,
  type Rule,
  signature,
} from './operator.js';

/** Terms pass through an operator that only moves elements. */
const terms = (node: OperatorView) => signature(inputsOf(node, 'B', { 0: 'P' }), outputsOf(node, 'P'));

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);

/**
 * Splits the first axis of each group of axes that are merged or divided: its parts stay together if they are even.
 * (View groups: PyTorch DTensor, `_view_ops.py`.)
 */
const view: Rule = (node) => {
  const [from, to] = [node.inputs[0]?.shape ?? [], node.outputs[0]?.shape ?? []];
  const signatures: Signature[] = [];
  let [input, output] = [0, 0];
  while (input < from.length && output < to.length) {
    // Axes of length 1 belong to no group.
    if (from[input] === 1) input += 1;
    else if (to[output] === 1) output += 1;
    else {
      const [first, second] = [input, output];
      let [before, after] = [from[input++] as number, to[output++] as number];
      while (before !== after) {
        if (before < after) before *= from[input++] ?? Number.NaN;
        else after *= to[output++] ?? Number.NaN;
        if (Number.isNaN(before) || Number.isNaN(after)) return [terms(node)];
      }
      const [a, b] = [from[first] as number, to[second] as number];
      const groups = a === b ? undefined : greatestCommonDivisor(a, b);
      if (groups !== 1) signatures.push(signature(inputsOf(node, 'B', { 0: first }), [second], groups));
    }
  }
  return [...signatures, terms(node)];
};

/** A shape that is known only in a run is given to each host anew, with -1 for a length that varies: one at most. */
const reshape: Rule = (node) => {
  const isKnown = node.inputs[1]?.values !== undefined || node.outputs[0]?.varying?.length === 1;
  return isKnown ? view(node) : [terms(node)];
};

/** Without axes it takes away every axis of length 1, which a part may have where the whole has more. */
const squeeze: Rule = (node) =>
  node.inputs[1] || node.attributes.axes !== undefined ? view(node) : [terms(node)];

const transpose: Rule = (node) => {
  const rank = node.inputs[0]?.shape.length ?? 0;
  const order = numbersOf(node, 'perm', -1) ?? [...Array(rank).keys()].reverse();
  return [...order.map((axis, at) => signature([axis], [at])), terms(node)];
};

/** Splits every axis but the one along which tensors are joined. */
const concat: Rule = (node) => {
  const shape = node.outputs[0]?.shape ?? [];
  const joined = axisOf(numberOf(node, 'axis', 0), shape.length);
  return [
    ...[...shape.keys()]
      .filter((axis) => axis !== joined && (shape[axis] as number) > 1)
      .map((axis) => signature(inputsOf(node, axis), [axis])),
    signature(inputsOf(node, 'P'), ['P']),
  ];
};

/** Splits every axis that the operator leaves as it is, from end to end. */
function unchanged(
  node: OperatorView,
  isChanged: (axis: number) => boolean,
  passesTerms: boolean,
): Signature[] {
  const shape = node.inputs[0]?.shape ?? [];
  const splits = [...shape.keys()]
    .filter((axis) => !isChanged(axis) && (shape[axis] as number) > 1)
    .map((axis) => signature(inputsOf(node, 'B', { 0: axis }), outputsOf(node, axis)));
  return passesTerms ? [...splits, terms(node)] : splits;
}

const split: Rule = (node) => {
  const along = axisOf(numberOf(node, 'axis', 0), node.inputs[0]?.shape.length ?? 0);
  return unchanged(node, (axis) => axis === along, true);
};

const slice: Rule = (node) => {
  const rank = node.inputs[0]?.shape.length ?? 0;
  const starts = numbersOf(node, 'starts', 1);
  const named = numbersOf(node, 'axes', 3);
  if (!starts || (!named && node.inputs[3])) return [];
  const cut = new Set((named ?? [...starts.keys()]).map((axis) => axisOf(axis, rank)));
  return unchanged(node, (axis) => cut.has(axis), true);
};

/** Splits axes that are not padded. An axis that loses as much as it gets has the same length, and other values. */
const pad: Rule = (node) => {
  const rank = node.inputs[0]?.shape.length ?? 0;
  const pads = numbersOf(node, 'pads', 1);
  const named = node.inputs[3] ? node.inputs[3].values : [...Array(rank).keys()];
  if (!pads || !named) return [];
  const padded = named.filter((_, at) => pads[at] !== 0 || pads[at + named.length] !== 0);
  const changed = new Set(padded.map((axis) => axisOf(axis, rank)));
  return unchanged(node, (axis) => changed.has(axis), false);
};

/** Splits a batch and channels that are not scaled. */
const resize: Rule = (node) => {
  if (node.inputs[3] && !node.inputs[3].values) return [];
  const [from, to] = [node.inputs[0]?.shape ?? [], node.outputs[0]?.shape ?? []];
  return unchanged(node, (axis) => axis > 1 || from[axis] !== to[axis], false);
};

/** Looks rows up in a table. Splits the indices, or the axes of the table other than the axis that is looked up. */
const gather: Rule = (node) => {
  const [table, indices] = node.inputs;
  if (!table || !indices) return [];
  const along = axisOf(numberOf(node, 'axis', 0), table.shape.length);
  const after = (axis: number) => (axis < along ? axis : axis + indices.shape.length - 1);
  const ofTable = [...table.shape.keys()]
    .filter((axis) => axis !== along && (table.shape[axis] as number) > 1)
    .map((axis) => signature([axis, 'B'], [after(axis)]));
  const ofIndices = [...indices.shape.keys()]
    .filter((axis) => (indices.shape[axis] as number) > 1)
    .map((axis) => signature(['B', axis], [along + axis]));
  return [...ofIndices, ...ofTable, signature(['P', 'B'], ['P'])];
};

/** Splits axes that are not stretched. A length that is known only in a run must be the input's own. */
const expand: Rule = (node) => {
  const [input, output] = [node.inputs[0], node.outputs[0]];
  const [from, to] = [input?.shape ?? [], output?.shape ?? []];
  const skipped = to.length - from.length;
  const varying = output?.varying ?? [];
  const isOwn = varying.length > 0 && varying.every((axis) => input?.varying?.includes(axis - skipped));
  if (!node.inputs[1]?.values && !isOwn) return [terms(node)];
  const splits = [...from.keys()]
    .filter((axis) => (from[axis] as number) > 1)
    .map((axis) => signature(['B' as Placement, 'B' as Placement].with(0, axis), [axis + skipped]));
  return [...splits, terms(node)];
};

export const SHAPES: Readonly<Record<string, Rule>> = {
  Concat: concat,
  Expand: expand,
  Flatten: view,
  Gather: gather,
  Pad: pad,
  Reshape: reshape,
  Resize: resize,
  Slice: slice,
  Split: split,
  Squeeze: squeeze,
  Transpose: transpose,
  Unsqueeze: view,
};
