import type { Placement } from '../layout/descriptor.js';
import type { Signature } from '../plan/graph.js';

/** A tensor as a rule sees it: its shape, and its values where they are known before a run. */
export interface TensorView {
  readonly shape: readonly number[];
  readonly values?: readonly number[] | undefined;
}

/** A node of a model as a rule sees it. An optional input that is left out is undefined. */
export interface OperatorView {
  readonly operator: string;
  readonly attributes: Readonly<Record<string, number | readonly number[] | string>>;
  readonly inputs: readonly (TensorView | undefined)[];
  readonly outputs: readonly TensorView[];
  /** The version of the operator set that the model names: the meaning of some operators has changed. */
  readonly opset: number;
}

/** What a node may do along one axis of a mesh, without the signature that is 'B' everywhere, which each node has. */
export type Rule = (node: OperatorView) => Signature[];

/** The axis that a number names, which counts from the end where it is negative. */
export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** A number that a node has as an attribute. */
export function numberOf({ attributes }: OperatorView, name: string, otherwise: number): number {
  const value = attributes[name];
  return typeof value === 'number' ? value : otherwise;
}

/** Numbers that a node has as an attribute, or, in newer operator sets, as an input whose values are known. */
export function numbersOf(
  { attributes, inputs }: OperatorView,
  name: string,
  input: number,
): readonly number[] | undefined {
  const value = attributes[name];
  if (Array.isArray(value)) return value as readonly number[];
  return inputs[input]?.values;
}

/** One signature: how each input lies, and how each output then lies. `groups` as in `Signature`. */
export function signature(
  inputs: readonly Placement[],
  outputs: readonly Placement[],
  groups?: number,
): Signature {
  return groups === undefined ? { inputs, outputs } : { inputs, outputs, groups };
}

/** As many of one placement as a node has inputs, with others for some of them. */
export function inputsOf(
  { inputs }: OperatorView,
  placement: Placement,
  others: Readonly<Record<number, Placement>> = {},
): Placement[] {
  return inputs.map((_, index) => others[index] ?? placement);
}

/** As many of one placement as a node has outputs. */
export function outputsOf({ outputs }: OperatorView, placement: Placement): Placement[] {
  return outputs.map(() => placement);
}
