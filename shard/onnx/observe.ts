// The shapes of a model's tensors. No JavaScript library infers them for all operators, but the engine knows them. So the
// model runs once on the CPU, with inputs of the wanted shapes, and with every tensor as an output.
import type { ValueInfoProto } from 'onnx-buf';
import type { Tensor } from 'onnxruntime-web/wasm';
import { messageOf } from '../../proto/errors.js';
import type { Libraries } from './libraries.js';
import { type Model, shapeOf } from './model.js';

/** A tensor as one run showed it. */
export interface Observed {
  readonly shape: readonly number[];
  /** ONNX's number of its type. */
  readonly dataType: number;
  /** Its values, if they are few whole numbers, such as axes, shapes and sizes. */
  readonly values: readonly number[] | undefined;
  /** Axes whose length differs from run to run. */
  readonly varying: readonly number[];
}

/** Sizes for the free dimensions of inputs, by the dimension's name or by the input's. */
export interface Dimensions {
  readonly byName: ReadonlyMap<string, number>;
  readonly byInput: ReadonlyMap<string, readonly number[]>;
}

/** ONNX's numbers of the types of ONNX Runtime's tensors. */
export const TYPES: Readonly<Record<string, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};
const FEW = 64;

/** ONNX Runtime's name of a type. */
export function typeName(dataType: number): string {
  return Object.entries(TYPES).find(([, number]) => number === dataType)?.[0] ?? 'unknown';
}

/** The inputs that a program gives, without the weights. */
export function inputsOf({ graph }: Model): ValueInfoProto[] {
  const weights = new Set(graph?.initializer.map(({ name }) => name));
  return (graph?.input ?? []).filter(({ name }) => !weights.has(name));
}

/** The names of the free dimensions of inputs and outputs. */
export function dimensionsOf(model: Model): string[] {
  const names = [...inputsOf(model), ...(model.graph?.output ?? [])].flatMap(({ type }) => {
    const dims = type?.value.case === 'tensorType' ? (type.value.value.shape?.dim ?? []) : [];
    return dims.flatMap(({ value }) => (value.case === 'dimParam' ? [value.value] : []));
  });
  return [...new Set(names)];
}

/** The shape of an input. Throws an Error that names a free dimension without a given size. */
export function inputShape(input: ValueInfoProto, { byName, byInput }: Dimensions): number[] {
  const given = byInput.get(input.name);
  if (given) return [...given];
  const type = input.type?.value;
  if (type?.case !== 'tensorType') throw new Error(`input "${input.name}" is not a tensor`);
  return (type.value.shape?.dim ?? []).map(({ value }, axis) => {
    if (value.case === 'dimValue' && value.value > 0n) return Number(value.value);
    const name = value.case === 'dimParam' ? value.value : '';
    const size = byName.get(name);
    if (size === undefined)
      throw new Error(
        `axis ${axis} of input "${input.name}" is free: give its size with ${name ? `--dim ${name}=SIZE` : `--input ${input.name}=SHAPE`}`,
      );
    return size;
  });
}

/** Runs a model once on the CPU, with zeros for inputs. Resolves to all its tensors, by name. */
export async function observe(
  { onnx, ort, protobuf }: Libraries,
  model: Model,
  dimensions: Dimensions,
): Promise<Map<string, Observed>> {
  const open = protobuf.clone(onnx.ModelProtoSchema, model);
  const graph = open.graph;
  if (!graph) throw new Error('this ONNX model has no graph');
  const named = new Set(graph.output.map(({ name }) => name));
  for (const node of graph.node)
    for (const name of node.output)
      if (name && !named.has(name)) {
        named.add(name);
        graph.output.push(protobuf.create(onnx.ValueInfoProtoSchema, { name }));
      }
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(protobuf.toBinary(onnx.ModelProtoSchema, open), {
    // An optimised model would not have all tensors.
    graphOptimizationLevel: 'disabled',
    executionProviders: ['wasm'],
    logSeverityLevel: 3,
  });
  try {
    const feeds: Record<string, Tensor> = {};
    for (const input of inputsOf(model)) {
      const shape = inputShape(input, dimensions);
      const type = input.type?.value.case === 'tensorType' ? input.type.value.value.elemType : 0;
      feeds[input.name] = zeros(ort, input.name, type, shape);
    }
    const results = await session.run(feeds).catch((error) => {
      const sizes = Object.entries(feeds).map(([name, { dims }]) => `${name} ${dims.join('x')}`);
      const [, reason = messageOf(error)] = /ERROR_MESSAGE: .*?([^:\n]+)\s*$/s.exec(messageOf(error)) ?? [];
      throw new RangeError(
        `the model does not run with inputs of these sizes, ${sizes.join(', ')}: ${reason.replace(/^.* was false\. /, '').trim()}`,
      );
    });
    const observed = new Map<string, Observed>();
    for (const [name, tensor] of Object.entries({ ...feeds, ...results })) {
      observed.set(name, {
        shape: [...tensor.dims],
        dataType: TYPES[tensor.type] ?? 0,
        values: wholeNumbers(tensor),
        varying: [],
      });
      if (name in results) tensor.dispose();
    }
    for (const weight of graph.initializer)
      observed.set(weight.name, {
        shape: shapeOf(weight),
        dataType: weight.dataType,
        values: constants(
          weight.dataType,
          weight.rawData,
          [...weight.int64Data, ...weight.int32Data].map(Number),
        ),
        varying: [],
      });
    return observed;
  } finally {
    await session.release();
  }
}

/** The tensor of this name, as the run showed it. Throws an Error if the run did not show it. */
export function seenIn(observed: ReadonlyMap<string, Observed>, name: string): Observed {
  const tensor = observed.get(name);
  if (!tensor) throw new Error(`the run that shows shapes did not show tensor "${name}"`);
  return tensor;
}

/**
 * Compares two runs with other lengths of the free dimensions. Keeps the values that are the same, and names the axes
 * whose lengths are not. Throws an Error if a tensor's number of axes differs: such a model cannot be laid over hosts.
 */
export function varying(
  first: ReadonlyMap<string, Observed>,
  second: ReadonlyMap<string, Observed>,
): Map<string, Observed> {
  return new Map(
    [...first].map(([name, one]) => {
      const other = second.get(name);
      if (other?.shape.length !== one.shape.length)
        throw new Error(`tensor "${name}" has not the same number of axes in each run`);
      const axes = [...one.shape.keys()].filter((axis) => one.shape[axis] !== other.shape[axis]);
      const isSame = one.values?.every((value, at) => value === other.values?.[at]) ?? false;
      return [name, { ...one, varying: axes, values: isSame ? one.values : undefined }];
    }),
  );
}

function zeros(ort: Libraries['ort'], name: string, dataType: number, shape: readonly number[]): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  switch (dataType) {
    case 1:
      return new ort.Tensor('float32', new Float32Array(size), shape);
    case 2:
      return new ort.Tensor('uint8', new Uint8Array(size), shape);
    case 6:
      return new ort.Tensor('int32', new Int32Array(size), shape);
    case 7:
      return new ort.Tensor('int64', new BigInt64Array(size), shape);
    case 9:
      return new ort.Tensor('bool', new Uint8Array(size), shape);
    case 10:
      return new ort.Tensor('float16', new Uint16Array(size), shape);
    default:
      throw new Error(
        `input "${name}" has ONNX's data type ${dataType}, which a model over several hosts cannot have`,
      );
  }
}

function wholeNumbers(tensor: Tensor): readonly number[] | undefined {
  if ((tensor.type !== 'int64' && tensor.type !== 'int32') || tensor.size > FEW) return undefined;
  return Array.from(tensor.data as BigInt64Array | Int32Array, Number);
}

/** The values of a small weight, which lie in one of two fields. */
function constants(
  dataType: number,
  raw: Uint8Array,
  listed: readonly number[],
): readonly number[] | undefined {
  if (dataType !== 6 && dataType !== 7) return undefined;
  if (raw.byteLength === 0) return listed.length <= FEW ? listed : undefined;
  // The bytes may begin at any address. A copy is aligned.
  const { buffer } = raw.slice();
  const numbers =
    dataType === 7 ? Array.from(new BigInt64Array(buffer), Number) : Array.from(new Int32Array(buffer));
  return numbers.length <= FEW ? numbers : undefined;
}
