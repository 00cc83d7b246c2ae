import type { OperatorView } from '../signatures/operator.js';

/** The changes of a node on a host with parts of its tensors: attributes, and inputs that are constants. */
export interface LocalChanges {
  readonly attributes: Readonly<Record<string, number>>;
  /** By the number of the input. */
  readonly inputs: ReadonlyMap<number, readonly number[]>;
}

/**
 * The parts of a node that name lengths, and so are different on a host with these parts of its inputs and outputs.
 * Examples are the shape of a Reshape, the groups of a convolution, and the heads of an attention.
 */
export function localize(
  node: OperatorView,
  inputs: readonly (readonly number[] | undefined)[],
  outputs: readonly (readonly number[])[],
): LocalChanges {
  const none = { attributes: {}, inputs: new Map<number, readonly number[]>() };
  const [first, weights] = inputs;
  const wanted = node.inputs[1]?.values;
  const made = outputs[0] ?? [];
  switch (node.operator) {
    case 'Reshape':
      // 0 and -1 stand for lengths that follow from the input, on a host as well.
      return {
        ...none,
        inputs: new Map([[1, made.map((size, axis) => Math.min(wanted?.[axis] ?? size, size))]]),
      };
    case 'Expand': {
      // Here 1 stands for the input's own length.
      const isOne = (axis: number) => wanted?.length === made.length && wanted[axis] === 1;
      return { ...none, inputs: new Map([[1, made.map((size, axis) => (isOne(axis) ? 1 : size))]]) };
    }
    case 'Resize':
      // Sizes are given for all axes. Scales are right for parts too.
      return node.inputs[3] ? { ...none, inputs: new Map([[3, made]]) } : none;
    case 'Conv':
      return { ...none, attributes: { group: (first?.[1] ?? 1) / (weights?.[1] ?? 1) } };
    case 'ConvTranspose':
      return { ...none, attributes: { group: (made[1] ?? 1) / (weights?.[1] ?? 1) } };
    case 'MultiHeadAttention': {
      const size = (node.inputs[0]?.shape[2] ?? 1) / (node.attributes.num_heads as number);
      return { ...none, attributes: { num_heads: (first?.[2] ?? size) / size } };
    }
    default:
      return none;
  }
}
