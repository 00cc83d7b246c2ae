import { type InferenceRequest, invalid } from '../../service/service.js';
import {
  DATATYPES,
  ELEMENT_BYTES,
  elementsOf,
  type Tensor,
  type TensorDeclaration,
} from '../../service/tensor.js';
import { describe } from './values.js';

/** The most dimensions of a tensor. */
const MOST_DIMENSIONS = 16;

/**
 * Checks a request against the declarations of its model or graph.
 * @throws InferenceError `invalid`, with one sentence that says which tensor is wrong, and how it should be
 */
export function checkRequest(
  { model, inputs, outputs = [], timeout, priority }: InferenceRequest,
  declared: {
    readonly inputs: readonly TensorDeclaration[];
    readonly outputs: readonly string[];
    /** The most items; 0 where there is no limit. All inputs have as many. */
    readonly maxItems: number;
  },
): void {
  const given = new Map<string, Tensor>();
  for (const tensor of inputs) {
    if (given.has(tensor.name)) throw invalid(`Input "${tensor.name}" is given twice.`);
    given.set(tensor.name, tensor);
  }
  for (const declaration of declared.inputs) {
    const tensor = given.get(declaration.name);
    if (!tensor) throw invalid(`Input "${declaration.name}" of ${model} is missing.`);
    checkTensor(tensor, declaration);
    given.delete(declaration.name);
  }
  if (declared.maxItems > 0) checkItems(inputs, model, declared.maxItems);
  const [unknown] = given.keys();
  if (unknown !== undefined) {
    const names = declared.inputs.map(({ name }) => name).join(', ');
    throw invalid(`There is no input "${unknown}"; ${model} has ${names}.`);
  }
  for (const [index, output] of outputs.entries()) {
    if (!declared.outputs.includes(output)) {
      throw invalid(`There is no output "${output}"; ${model} has ${declared.outputs.join(', ')}.`);
    }
    if (outputs.indexOf(output) !== index) throw invalid(`Output "${output}" is asked for twice.`);
  }
  if (timeout !== undefined && !(timeout > 0)) throw invalid('The timeout must be above 0 ms.');
  if (priority !== undefined && !(Number.isSafeInteger(priority) && priority >= 0)) {
    throw invalid('The priority must be a whole number, 0 or more.');
  }
}

function checkItems(inputs: readonly Tensor[], model: string, most: number): void {
  const [first, ...others] = inputs;
  const items = first?.shape[0] ?? 0;
  const other = others.find(({ shape }) => shape[0] !== items);
  if (other) {
    throw invalid(
      `Input "${first?.name}" has ${items} items and "${other.name}" has ${other.shape[0]}: the first dimensions must be equal.`,
    );
  }
  if (items < 1 || items > most)
    throw invalid(`${model} takes 1 to ${most} items, and the request has ${items}.`);
}

/** Whether a tensor can be one that is declared. A dimension of -1 has any length. */
export function fits(shape: readonly number[], declared: readonly number[]): boolean {
  return (
    shape.length === declared.length &&
    declared.every((length, index) => length === -1 || length === shape[index])
  );
}

function checkTensor({ name, datatype, shape, data }: Tensor, declaration: TensorDeclaration): void {
  if (!DATATYPES.includes(datatype)) throw invalid(`Input "${name}" has an unknown datatype "${datatype}".`);
  const sound = shape.length <= MOST_DIMENSIONS && shape.every((length) => length >= 0);
  if (!sound || !shape.every(Number.isSafeInteger)) {
    throw invalid(
      `The shape of input "${name}" must be at most ${MOST_DIMENSIONS} whole numbers, 0 or more each.`,
    );
  }
  if (datatype !== declaration.datatype || !fits(shape, declaration.shape)) {
    throw invalid(
      `Input "${name}" must be ${describe(declaration.datatype, declaration.shape)}, and is ${describe(datatype, shape)}.`,
    );
  }
  const elements = elementsOf(shape);
  const bytes = ELEMENT_BYTES[datatype];
  if (bytes === undefined ? data instanceof Uint8Array : !(data instanceof Uint8Array)) {
    throw invalid(`The data of input "${name}" is not of datatype ${datatype}.`);
  }
  const expected = bytes === undefined ? elements : elements * bytes;
  if (data.length === expected) return;
  const unit = bytes === undefined ? 'elements' : 'bytes';
  throw invalid(
    `Input "${name}" of ${describe(datatype, shape)} must have ${expected} ${unit}, and has ${data.length}.`,
  );
}
