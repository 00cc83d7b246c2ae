import { axisOf, type OperatorView } from '../signatures/operator.js';

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
  const { shape: whole = [], varying = [] } = node.outputs[0] ?? {};
  const made = outputs[0] ?? [];
  const isWhole = made.every((size, axis) => size === whole[axis]);
  const wanted = node.inputs[1]?.values;
  switch (node.operator) {
    // Where a host has the whole tensor, the shape that the model computes is right there, too.
    case 'Reshape': {
      if (isWhole) return none;
      // 0 and -1 stand for lengths that follow from the input, on a host as well.
      const sizes = wanted
        ? made.map((size, axis) => Math.min(wanted[axis] ?? size, size))
        : made.map((size, axis) => (varying.includes(axis) ? -1 : size));
      return { ...none, inputs: new Map([[1, sizes]]) };
    }
    case 'Expand': {
      if (isWhole) return none;
      // Here 1 stands for the input's own length.
      const isOne = (axis: number) =>
        wanted ? wanted.length === made.length && wanted[axis] === 1 : varying.includes(axis);
      return { ...none, inputs: new Map([[1, made.map((size, axis) => (isOne(axis) ? 1 : size))]]) };
    }
    case 'Resize': {
      // Scales are right for parts too.
      const sizes = node.inputs[3]?.values ?? [];
      if (isWhole || sizes.length === 0) return none;
      const axes = (node.attributes.axes as readonly number[] | undefined) ?? [...made.keys()];
      const local = axes.map((named, at) => {
        const axis = axisOf(named, made.length);
        return made[axis] === whole[axis] ? (sizes[at] as number) : (made[axis] as number);
      });
      return { ...none, inputs: new Map([[3, local]]) };
    }
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
