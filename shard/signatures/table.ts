import type { Signature } from '../plan/graph.js';
import { ELEMENTWISE } from './elementwise.js';
import { inputsOf, type OperatorView, outputsOf, type Rule } from './operator.js';
import { PRODUCTS } from './products.js';
import { REDUCTIONS } from './reductions.js';
import { SHAPES } from './shapes.js';

/** The operators that may do more than run whole on each host, each with its rule. */
export const TABLE: Readonly<Record<string, Rule>> = {
  ...ELEMENTWISE,
  ...PRODUCTS,
  ...REDUCTIONS,
  ...SHAPES,
};

/**
 * The signatures of a node along one axis of a mesh, the preferred ones first. The first one runs it whole on each host,
 * which every operator may. Then its rows of the table follow.
 */
export function signaturesOf(node: OperatorView): Signature[] {
  const whole: Signature = { inputs: inputsOf(node, 'B'), outputs: outputsOf(node, 'B') };
  return [whole, ...(TABLE[node.operator]?.(node) ?? [])];
}
