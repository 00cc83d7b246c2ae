import type { Tensor } from 'onnxruntime-web/wasm';
import type { Libraries } from './libraries.js';
import { type Model, shapeOf } from './model.js';
import { type Observed, TYPES } from './observe.js';

/** A tensor whose values are known: its bytes as ONNX lays them out. */
export interface Constant {
  readonly dataType: number;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/**
 * The values of a model's constants, by name. `names` are weights, and outputs of nodes that compute the same in each run.
 * Those nodes run here once, on the CPU, with the shapes that were observed.
 */
export async function constantsOf(
  libraries: Libraries,
  model: Model,
  observed: ReadonlyMap<string, Observed>,
  names: ReadonlySet<string>,
): Promise<Map<string, Constant>> {
  const { onnx, ort, protobuf } = libraries;
  const weights = new Map(model.graph?.initializer.map((weight) => [weight.name, weight]));
  const constants = new Map<string, Constant>();
  // ONNX Runtime also reads weights without raw data: their values may lie in one of several fields.
  const computed: string[] = [];
  for (const name of names) {
    const weight = weights.get(name);
    if (weight && weight.rawData.length > 0)
      constants.set(name, { dataType: weight.dataType, shape: shapeOf(weight), data: weight.rawData });
    else computed.push(name);
  }
  if (computed.length === 0) return constants;
  const graph = protobuf.create(onnx.GraphProtoSchema, { name: 'constants' });
  const known = new Set<string>();
  const take = (name: string): void => {
    if (!name || known.has(name)) return;
    known.add(name);
    const weight = weights.get(name);
    if (weight) {
      graph.initializer.push(weight);
      return;
    }
    const node = model.graph?.node.find(({ output }) => output.includes(name));
    if (!node) throw new Error(`Farlight bug: "${name}" is no constant`);
    for (const made of node.output) known.add(made);
    if (node.opType === 'Shape' || node.opType === 'Size') {
      // The tensor itself is not there, but its shape was seen.
      const values = observed.get(name)?.values ?? [];
      graph.initializer.push(
        protobuf.create(onnx.TensorProtoSchema, {
          name,
          dataType: TYPES.int64 as number,
          dims: node.opType === 'Shape' ? [BigInt(values.length)] : [],
          int64Data: values.map(BigInt),
        }),
      );
      return;
    }
    for (const input of node.input) take(input);
    graph.node.push(node);
  };
  for (const name of computed) {
    take(name);
    const output = `${name}/value`;
    graph.node.push(
      protobuf.create(onnx.NodeProtoSchema, { opType: 'Identity', input: [name], output: [output] }),
    );
    graph.output.push(protobuf.create(onnx.ValueInfoProtoSchema, { name: output }));
  }
  const folded = protobuf.create(onnx.ModelProtoSchema, {
    irVersion: model.irVersion,
    opsetImport: model.opsetImport,
    graph,
  });
  const session = await ort.InferenceSession.create(protobuf.toBinary(onnx.ModelProtoSchema, folded), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  });
  try {
    const results = await session.run({});
    for (const name of computed) {
      const tensor = results[`${name}/value`] as Tensor;
      const { buffer, byteOffset, byteLength } = tensor.data as Float32Array;
      constants.set(name, {
        dataType: TYPES[tensor.type] ?? 0,
        shape: tensor.dims,
        data: new Uint8Array(buffer, byteOffset, byteLength).slice(),
      });
      tensor.dispose();
    }
    return constants;
  } finally {
    await session.release();
  }
}
