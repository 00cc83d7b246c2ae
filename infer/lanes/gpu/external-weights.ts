import { fieldsOf, textOf } from './protobuf.js';

/** The numbers of fields in onnx.proto3. */
const MODEL = { graph: 7 };
const GRAPH = { initializer: 5 };
const TENSOR = { externalData: 13 };
const ENTRY = { key: 1, value: 2 };

/**
 * The files with a model's weights, as the model names them: paths from its own folder. A file that is no model is left to
 * ONNX Runtime. @throws Error where a path leaves the folder
 */
export function externalWeights(model: Uint8Array): string[] {
  const files = new Set<string>();
  try {
    for (const graph of fieldsOf(model)) {
      if (graph.number !== MODEL.graph) continue;
      for (const tensor of fieldsOf(graph.bytes)) {
        if (tensor.number !== GRAPH.initializer) continue;
        for (const entry of fieldsOf(tensor.bytes)) {
          if (entry.number !== TENSOR.externalData) continue;
          const fields = [...fieldsOf(entry.bytes)];
          if (textOf(fields, ENTRY.key) === 'location') files.add(textOf(fields, ENTRY.value));
        }
      }
    }
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
  for (const file of files) {
    const outside = file.startsWith('/') || file.split(/[/\\]/).includes('..');
    if (outside) throw new Error(`its weights are in "${file}", which is not in its folder`);
  }
  return [...files];
}
