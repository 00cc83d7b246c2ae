// Models of one node, and tensors cut into parts and put together again.
import { create, toBinary } from '@bufbuild/protobuf';
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import * as ort from 'onnxruntime-web/wasm';
import type { Region } from '#farlight/shard/layout/region.js';
import { attribute } from '../../infer/lanes/models.js';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'fatal';

export interface Values {
  readonly type: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export interface OneNode {
  readonly operator: string;
  readonly domain: string;
  readonly opset: number;
  readonly attributes: Readonly<Record<string, number | readonly number[] | string>>;
  readonly outputs: number;
}

const TYPES = { float32: 1, int64: 7 } as const;

/** Runs one node on ONNX Runtime's own CPU kernels. Integers are given as constants, as models have them. */
export async function runNode(node: OneNode, inputs: readonly (Values | undefined)[]): Promise<Values[]> {
  const outputs = [...Array(node.outputs).keys()].map((index) => `out${index}`);
  const isConstant = (input: Values) => input.type === 'int64' && node.operator !== 'Gather';
  const value = (name: string, given: Values | undefined) =>
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: {
          case: 'tensorType',
          value: create(TypeProto_TensorSchema, {
            elemType: TYPES[given?.type ?? (node.operator.startsWith('Arg') ? 'int64' : 'float32')],
            ...(given && {
              shape: create(TensorShapeProtoSchema, {
                dim: given.shape.map((size) =>
                  create(TensorShapeProto_DimensionSchema, {
                    value: { case: 'dimValue', value: BigInt(size) },
                  }),
                ),
              }),
            }),
          }),
        },
      }),
    });
  const fed = inputs.flatMap((input, index) =>
    input && !isConstant(input) ? [{ input, name: `in${index}` }] : [],
  );
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(node.opset) }),
      ...(node.domain ? [create(OperatorSetIdProtoSchema, { domain: node.domain, version: 1n })] : []),
    ],
    graph: create(GraphProtoSchema, {
      name: 'one',
      node: [
        create(NodeProtoSchema, {
          name: 'node',
          opType: node.operator,
          domain: node.domain,
          input: inputs.map((input, index) => (input ? `in${index}` : '')),
          output: outputs,
          attribute: Object.entries(node.attributes).map(([name, given]) => attribute(name, given)),
        }),
      ],
      input: fed.map(({ input, name }) => value(name, input)),
      output: outputs.map((name) => value(name, undefined)),
      initializer: inputs.flatMap((input, index) =>
        input && isConstant(input)
          ? [
              create(TensorProtoSchema, {
                name: `in${index}`,
                dataType: TYPES.int64,
                dims: input.shape.map(BigInt),
                int64Data: input.data.map(BigInt),
              }),
            ]
          : [],
      ),
    }),
  });
  const session = await ort.InferenceSession.create(toBinary(ModelProtoSchema, model), {
    graphOptimizationLevel: 'disabled',
  });
  try {
    const results = await session.run(
      Object.fromEntries(
        fed.map(({ input, name }) => [
          name,
          input.type === 'int64'
            ? new ort.Tensor('int64', BigInt64Array.from(input.data, BigInt), input.shape)
            : new ort.Tensor('float32', Float32Array.from(input.data), input.shape),
        ]),
      ),
    );
    return outputs.map((name) => {
      const tensor = results[name] as ort.Tensor;
      const data = Array.from(tensor.data as Float32Array | BigInt64Array, Number);
      return { type: tensor.type as Values['type'], shape: tensor.dims, data };
    });
  } finally {
    await session.release();
  }
}

const strides = (shape: readonly number[]) => {
  const out = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1)
    out[axis] = (out[axis + 1] as number) * (shape[axis + 1] as number);
  return out;
};

function* placesIn({ start, end }: Region): Generator<number[]> {
  if (start.length === 0) {
    yield [];
    return;
  }
  const [first, ...rest] = start.map((from, axis) => [from, end[axis] as number] as const);
  const tail: Region = { start: rest.map(([from]) => from), end: rest.map(([, to]) => to) };
  for (
    let at = (first as readonly [number, number])[0];
    at < (first as readonly [number, number])[1];
    at += 1
  )
    for (const place of placesIn(tail)) yield [at, ...place];
}

const indexIn = (place: readonly number[], steps: readonly number[]) =>
  place.reduce((sum, at, axis) => sum + at * (steps[axis] as number), 0);

/** A region of a tensor, as a tensor of its own. */
export function cut(values: Values, region: Region): Values {
  const steps = strides(values.shape);
  const data = [...placesIn(region)].map((place) => values.data[indexIn(place, steps)] as number);
  return { ...values, shape: region.end.map((to, axis) => to - (region.start[axis] as number)), data };
}

/** Adds a part to what a tensor has in this region. */
export function add(target: number[], shape: readonly number[], region: Region, part: Values): void {
  const steps = strides(shape);
  let at = 0;
  for (const place of placesIn(region)) {
    const index = indexIn(place, steps);
    target[index] = (target[index] as number) + (part.data[at++] as number);
  }
}
