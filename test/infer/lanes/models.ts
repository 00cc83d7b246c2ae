// Small ONNX models that the tests make themselves.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { seeded } from '../../support/random/seeded.js';

/** ONNX's numbers of types. */
export const TYPES = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
};
export type Type = keyof typeof TYPES;
type Attributes = Readonly<Record<string, number | readonly number[] | string>>;

interface Value {
  readonly name: string;
  readonly type: Type;
  /** A dimension is a length, or the name of one that is free. */
  readonly shape: readonly (number | string)[];
}

interface Node {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Attributes;
}

export interface OnnxModel {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly weights?: Readonly<
    Record<string, { shape: readonly number[]; values: Float32Array<ArrayBuffer> }>
  >;
  readonly opset?: number;
}

/** `elsewhere` names the file that has the weights instead. */
export function onnxBytes(
  { inputs, outputs, nodes, weights = {}, opset = 17 }: OnnxModel,
  elsewhere?: string,
): Uint8Array {
  const model = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
    graph: create(GraphProtoSchema, {
      name: 'test',
      input: inputs.map(valueInfo),
      output: outputs.map(valueInfo),
      node: nodes.map(({ operator, inputs, outputs, attributes = {} }, index) =>
        create(NodeProtoSchema, {
          name: `node${index}`,
          opType: operator,
          input: [...inputs],
          output: [...outputs],
          attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
        }),
      ),
      initializer: Object.entries(weights).map(([name, { shape, values }]) =>
        create(TensorProtoSchema, {
          name,
          dataType: TYPES.FP32,
          dims: shape.map(BigInt),
          ...(elsewhere === undefined
            ? { rawData: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) }
            : {
                dataLocation: TensorProto_DataLocation.EXTERNAL,
                externalData: [create(StringStringEntryProtoSchema, { key: 'location', value: elsewhere })],
              }),
        }),
      ),
    }),
  });
  return toBinary(ModelProtoSchema, model);
}

function valueInfo({ name, type, shape }: Value) {
  const dim = shape.map((length) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof length === 'number'
          ? { case: 'dimValue', value: BigInt(length) }
          : { case: 'dimParam', value: length },
    }),
  );
  const tensor = create(TypeProto_TensorSchema, {
    elemType: TYPES[type],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } }),
  });
}

export function attribute(name: string, value: number | readonly number[] | string) {
  const { INT, INTS, FLOAT, STRING } = AttributeProto_AttributeType;
  if (typeof value === 'string')
    return create(AttributeProtoSchema, { name, type: STRING, s: new TextEncoder().encode(value) });
  if (typeof value !== 'number')
    return create(AttributeProtoSchema, { name, type: INTS, ints: value.map(BigInt) });
  if (FLOATS.has(name)) return create(AttributeProtoSchema, { name, type: FLOAT, f: value });
  return create(AttributeProtoSchema, { name, type: INT, i: BigInt(value) });
}

/** Attributes that ONNX declares as floats: the others that are numbers are integers. */
const FLOATS = new Set(['alpha', 'beta', 'epsilon', 'mask_filter_value', 'max', 'min', 'scale']);

/** Triton's `simple`: the sum and the difference of two tensors. */
export function simple(type: Type = 'INT32'): OnnxModel {
  const value = (name: string): Value => ({ name, type, shape: ['batch', 16] });
  return {
    inputs: [value('INPUT0'), value('INPUT1')],
    outputs: [value('OUTPUT0'), value('OUTPUT1')],
    nodes: [
      { operator: 'Add', inputs: ['INPUT0', 'INPUT1'], outputs: ['OUTPUT0'] },
      { operator: 'Sub', inputs: ['INPUT0', 'INPUT1'], outputs: ['OUTPUT1'] },
    ],
  };
}

/** One output that is the input, or so: `operator` says how. */
export function unary(
  operator: string,
  type: Type,
  shape: readonly (number | string)[],
  { to = type, attributes = {}, opset = 17 }: { to?: Type; attributes?: Attributes; opset?: number } = {},
): OnnxModel {
  return {
    inputs: [{ name: 'x', type, shape }],
    outputs: [{ name: 'y', type: to, shape }],
    nodes: [{ operator, inputs: ['x'], outputs: ['y'], attributes }],
    opset,
  };
}

/** A small network: a convolution, a ReLU, and a global mean. `channels` decides how much memory it takes. */
export function network(channels = 8): OnnxModel {
  const random = seeded(1);
  const values = Float32Array.from({ length: channels * 3 * 9 }, () => random() - 0.5);
  return {
    inputs: [{ name: 'image', type: 'FP32', shape: ['batch', 3, 'height', 'width'] }],
    outputs: [
      { name: 'features', type: 'FP32', shape: ['batch', channels, 'height', 'width'] },
      { name: 'mean', type: 'FP32', shape: ['batch', channels, 1, 1] },
    ],
    nodes: [
      {
        operator: 'Conv',
        inputs: ['image', 'weights'],
        outputs: ['conv'],
        attributes: { pads: [1, 1, 1, 1] },
      },
      { operator: 'Relu', inputs: ['conv'], outputs: ['features'] },
      { operator: 'GlobalAveragePool', inputs: ['features'], outputs: ['mean'] },
    ],
    weights: { weights: { shape: [channels, 3, 3, 3], values } },
  };
}

/** Writes a model's file into a folder. */
export function put(folder: string, name: string, model: OnnxModel, elsewhere?: string): string {
  const file = join(folder, `${name}.onnx`);
  writeFileSync(file, onnxBytes(model, elsewhere));
  return file;
}
