import type { Placement } from '../layout/descriptor.js';
import type { Signature } from '../plan/graph.js';
import {
  inputsOf,
  isOfWholeNumbers,
  type OperatorView,
  outputsOf,
  type Rule,
  signature,
} from './operator.js';

/**
 * A signature for each axis of the output. It splits that axis, and the same axis of each input that is not stretched
 * along it. (Stretching is the broadcasting of NumPy and ONNX, which compares shapes from their ends.)
 */
function splitsOf(node: OperatorView): Signature[] {
  const shape = node.outputs[0]?.shape ?? [];
  return [...shape.keys()]
    .filter((axis) => (shape[axis] as number) > 1)
    .map((axis) =>
      signature(
        node.inputs.map((input): Placement => {
          const own = axis - (shape.length - (input?.shape.length ?? 0));
          return own >= 0 && (input?.shape[own] ?? 1) > 1 ? own : 'B';
        }),
        outputsOf(node, axis),
      ),
    );
}

/** An operator that works on each element alone. */
const elementwise: Rule = splitsOf;

/** An elementwise operator that terms may pass through: f(a + b) = f(a) + f(b). */
const linear: Rule = (node) => [...splitsOf(node), signature(inputsOf(node, 'P'), outputsOf(node, 'P'))];

/** A product is in terms if one factor is in terms. Of a quotient only the numerator may be in terms. */
const product: Rule = (node) => {
  if (node.operator === 'Div' && isOfWholeNumbers(node)) return splitsOf(node);
  const signatures = [...splitsOf(node), signature(['P', 'B'], ['P'])];
  return node.operator === 'Mul' ? [...signatures, signature(['B', 'P'], ['P'])] : signatures;
};

const UNARY = [
  'Abs',
  'Cast',
  'Ceil',
  'Clip',
  'Cos',
  'Elu',
  'Erf',
  'Exp',
  'FastGelu',
  'Floor',
  'Gelu',
  'HardSigmoid',
  'HardSwish',
  'LeakyRelu',
  'Log',
  'Not',
  'QuickGelu',
  'Reciprocal',
  'Relu',
  'Round',
  'Selu',
  'Sigmoid',
  'Sign',
  'Sin',
  'Softplus',
  'Sqrt',
  'Tanh',
  'ThresholdedRelu',
];
const OF_SEVERAL = [
  'And',
  'BiasGelu',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Max',
  'Min',
  'Mod',
  'Or',
  'PRelu',
  'Pow',
  'Where',
];

export const ELEMENTWISE: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries([...UNARY, ...OF_SEVERAL].map((operator) => [operator, elementwise])),
  ...Object.fromEntries(['Add', 'Identity', 'Neg', 'Sub', 'Sum'].map((operator) => [operator, linear])),
  Div: product,
  Mul: product,
};
