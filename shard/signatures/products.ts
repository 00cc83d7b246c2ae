import type { Placement } from '../layout/descriptor.js';
import type { Signature } from '../plan/graph.js';
import { numberOf, type Rule, signature } from './operator.js';

/** Splits rows of the first, columns of the second, the shared axis (which leaves terms), or the batches. */
const matMul: Rule = ({ inputs: [a, b], outputs: [out] }) => {
  if (!a || !b || !out || a.shape.length < 2 || b.shape.length < 2) return [];
  const [left, right, rank] = [a.shape.length, b.shape.length, out.shape.length];
  const signatures: Signature[] = [
    signature([left - 2, 'B'], [rank - 2]),
    signature(['B', right - 1], [rank - 1]),
    signature([left - 1, right - 2], ['P']),
  ];
  for (let axis = 0; axis < rank - 2; axis += 1) {
    const own = (shape: readonly number[]): Placement => {
      const at = axis - (rank - shape.length);
      return at >= 0 && (shape[at] as number) > 1 ? at : 'B';
    };
    if ((out.shape[axis] as number) > 1) signatures.push(signature([own(a.shape), own(b.shape)], [axis]));
  }
  return [...signatures, signature(['P', 'B'], ['P']), signature(['B', 'P'], ['P'])];
};

/** The same for matrices that may be transposed, and a third one that is added. A product in terms has it as a term. */
const gemm: Rule = (node) => {
  const [rows, shared] = numberOf(node, 'transA', 0) ? [1, 0] : [0, 1];
  const [inner, columns] = numberOf(node, 'transB', 0) ? [1, 0] : [0, 1];
  const added = node.inputs[2]?.shape;
  const with3 = (placements: Placement[], third: Placement) => (added ? [...placements, third] : placements);
  const addedRows: Placement = added && added.length === 2 && (added[0] as number) > 1 ? 0 : 'B';
  const last = (added?.length ?? 0) - 1;
  const addedColumns: Placement = added && last >= 0 && (added[last] as number) > 1 ? last : 'B';
  return [
    signature(with3([rows, 'B'], addedRows), [0]),
    signature(with3(['B', columns], addedColumns), [1]),
    signature(with3([shared, inner], 'P'), ['P']),
    signature(with3(['P', 'B'], 'P'), ['P']),
  ];
};

/** Splits the batch, output channels, input channels (which leaves terms), or whole groups of channels. */
const convolution: Rule = (node) => {
  const groups = numberOf(node, 'group', 1);
  const isTransposed = node.operator === 'ConvTranspose';
  const [inputChannels, outputChannels] = isTransposed ? [0, 1] : [1, 0];
  const withBias = (placements: Placement[], bias: Placement) =>
    node.inputs[2] ? [...placements, bias] : placements;
  const batch = signature(withBias([0, 'B'], 'B'), [0]);
  if (groups > 1) return [batch, signature(withBias([1, 0], 0), [1], groups)];
  return [
    batch,
    signature(withBias(['B', outputChannels], 0), [1]),
    signature(withBias([1, inputChannels], 'P'), ['P']),
    signature(withBias(['P', 'B'], 'P'), ['P']),
  ];
};

/** Splits an attention by whole heads, or by batch. Query, key and value are [batch, sequence, heads x size]. */
const multiHeadAttention: Rule = (node) => {
  const heads = numberOf(node, 'num_heads', 1);
  const [query, key, value] = node.inputs;
  // A node with a bias, a mask or a cache, given or made, runs whole, because the rule does not know their layout.
  if (!query || !key || !value || node.inputs.slice(3).some(Boolean) || key.shape.length !== 3) return [];
  if (node.outputs.length > 1) return [];
  const rest = node.inputs.slice(3).map((): Placement => 'B');
  return [signature([0, 0, 0, ...rest], [0]), signature([2, 2, 2, ...rest], [2], heads)];
};

export const PRODUCTS: Readonly<Record<string, Rule>> = {
  Conv: convolution,
  ConvTranspose: convolution,
  Gemm: gemm,
  MatMul: matMul,
  MultiHeadAttention: multiHeadAttention,
};
