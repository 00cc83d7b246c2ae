import type { Signature } from '../plan/graph.js';
import { ELEMENTWISE } from './elementwise.js';
import { inputsOf, type OperatorView, outputsOf, type Rule } from './operator.js';
import { PRODUCTS } from './products.js';
import { REDUCTIONS } from './reductions.js';
import { SHAPES } from './shapes.js';

/** The operators that have more to choose from than to run whole on each host, each with its rule. */
export const TABLE: Readonly<Record<string, Rule>> = {
  ...ELEMENTWISE,
  ...PRODUCTS,
  ...REDUCTIONS,
  ...SHAPES,
};

/**
 * What a node may do along one axis of a mesh, in the order in which equals are preferred: first to run whole on each
 * host, which every operator may, then its rows of the table.
 */
export function signaturesOf(node: OperatorView): Signature[] {
  const whole: Signature = { inputs: inputsOf(node, 'B'), outputs: outputsOf(node, 'B') };
  return [whole, ...(TABLE[node.operator]?.(node) ?? [])];
}
