import type { Placement } from '../layout/descriptor.js';
import type { Signature } from '../plan/graph.js';

/** A tensor for a rule: its shape, and its values if they are known before a run. */
export interface TensorView {
  readonly shape: readonly number[];
  /** ONNX's number of its type. */
  readonly dataType?: number;
  /** Axes whose length differs from run to run. */
  readonly varying?: readonly number[];
  readonly values?: readonly number[] | undefined;
}

/** A node of a model for a rule. An omitted optional input is undefined. */
export interface OperatorView {
  readonly operator: string;
  readonly attributes: Readonly<Record<string, number | readonly number[] | string>>;
  readonly inputs: readonly (TensorView | undefined)[];
  readonly outputs: readonly TensorView[];
  /** The version of the operator set that the model names: the meaning of some operators has changed. */
  readonly opset: number;
}

/** Returns a node's signatures along one axis of a mesh, without the signature that every node has: 'B' everywhere. */
export type Rule = (node: OperatorView) => Signature[];

/** The axis that a number names. A negative number counts from the end. */
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

/** ONNX's numbers of the types of whole numbers. */
const WHOLE: ReadonlySet<number> = new Set([2, 3, 4, 5, 6, 7, 12, 13]);

/** Whether a node computes with whole numbers. A division of them drops a remainder, so it is not linear. */
export function isOfWholeNumbers({ inputs: [first] }: OperatorView): boolean {
  return first?.dataType !== undefined && WHOLE.has(first.dataType);
}

/** One signature: how each input lies, and how each output then lies. `groups` as in `Signature`. */
export function signature(
  inputs: readonly Placement[],
  outputs: readonly Placement[],
  groups?: number,
): Signature {
  return groups === undefined ? { inputs, outputs } : { inputs, outputs, groups };
}

/** One placement for all inputs of a node, with other placements for some of them. */
export function inputsOf(
  { inputs }: OperatorView,
  placement: Placement,
  others: Readonly<Record<number, Placement>> = {},
): Placement[] {
  return inputs.map((_, index) => others[index] ?? placement);
}

/** One placement for all outputs of a node. */
export function outputsOf({ outputs }: OperatorView, placement: Placement): Placement[] {
  return outputs.map(() => placement);
}
