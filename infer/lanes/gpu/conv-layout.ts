import { type ConvLayout, rightLayoutFor } from '../../../proto/conv-layout.js';
import { fieldsOf, varintsIn } from './protobuf.js';

/** The numbers of fields in onnx.proto3. */
const MODEL = { graph: 7 };
const GRAPH = { node: 1, initializer: 5 };
const NODE = { attribute: 5 };
const ATTRIBUTE = { tensor: 5, graph: 6, graphs: 11 };
const TENSOR = { dims: 1 };

/**
 * The layout in which all convolutions of a model are right. It looks at the shapes of all weights, in branches and loops
 * too. A weight of another operator may choose a slower layout, but never a wrong one. A file that is no model is left to
 * ONNX Runtime.
 */
export function rightLayout(model: Uint8Array): ConvLayout {
  try {
    return rightLayoutFor(bytesIn(model, MODEL.graph).flatMap(shapesIn));
  } catch (error) {
    if (error instanceof RangeError) return 'NHWC';
    throw error;
  }
}

function shapesIn(graph: Uint8Array): number[][] {
  const weights = bytesIn(graph, GRAPH.initializer).map(shapeOf);
  const attributes = bytesIn(graph, GRAPH.node).flatMap((node) => bytesIn(node, NODE.attribute));
  return [
    ...weights,
    ...attributes.flatMap((attribute) => bytesIn(attribute, ATTRIBUTE.tensor).map(shapeOf)),
    ...attributes.flatMap((attribute) =>
      [...bytesIn(attribute, ATTRIBUTE.graph), ...bytesIn(attribute, ATTRIBUTE.graphs)].flatMap(shapesIn),
    ),
  ];
}

/** Each dimension is a field, or all of them are one. */
function shapeOf(tensor: Uint8Array): number[] {
  return bytesIn(tensor, TENSOR.dims).flatMap((bytes) => [...varintsIn(bytes)].map(Number));
}

function bytesIn(message: Uint8Array, number: number): Uint8Array[] {
  return [...fieldsOf(message)].filter((field) => field.number === number).map(({ bytes }) => bytes);
}
