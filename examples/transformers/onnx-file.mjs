// Writes ONNX files: only the parts of onnx.proto3 (https://github.com/onnx/onnx) that a small graph needs.
import protobuf from 'protobufjs';

const { root } = protobuf.parse(
  `
  syntax = "proto3";
  message Model { int64 ir_version = 1; string producer_name = 2; Graph graph = 7; repeated Opset opset_import = 8; }
  message Opset { string domain = 1; int64 version = 2; }
  message Graph {
    repeated Node node = 1; string name = 2; repeated Tensor initializer = 5;
    repeated Value input = 11; repeated Value output = 12;
  }
  message Node {
    repeated string input = 1; repeated string output = 2; string op_type = 4; repeated Attribute attribute = 5;
  }
  message Attribute { string name = 1; int64 i = 3; bytes s = 4; repeated int64 ints = 8; int32 type = 20; }
  message Tensor { repeated int64 dims = 1; int32 data_type = 2; string name = 8; bytes raw_data = 9; }
  message Value { string name = 1; Type type = 2; }
  message Type { TensorType tensor_type = 1; }
  message TensorType { int32 elem_type = 1; Shape shape = 2; }
  message Shape { repeated Dimension dim = 1; }
  message Dimension { int64 dim_value = 1; string dim_param = 2; }
`,
  { keepCase: true },
);
const Model = root.lookupType('Model');

const DATA_TYPES = { float32: 1, int64: 7 };
const ATTRIBUTE_TYPES = { int: 2, string: 3, ints: 7 };

/** The bytes of a model with one graph, of opset 17. */
export function onnxModel({ name, inputs, outputs, tensors, nodes }) {
  const graph = { name, node: nodes, initializer: tensors, input: inputs, output: outputs };
  const model = {
    ir_version: 8,
    producer_name: 'farlight-example',
    graph,
    opset_import: [{ domain: '', version: 17 }],
  };
  return Model.encode(Model.fromObject(model)).finish();
}

/** An input or output. A dimension is a number, or the name of a dimension that differs from run to run. */
export function value(name, type, dims) {
  const dim = dims.map((each) => (typeof each === 'string' ? { dim_param: each } : { dim_value: each }));
  return { name, type: { tensor_type: { elem_type: DATA_TYPES[type], shape: { dim } } } };
}

/** A constant, of a Float32Array or a BigInt64Array. */
export function tensor(name, dims, data) {
  const type = data instanceof Float32Array ? DATA_TYPES.float32 : DATA_TYPES.int64;
  return {
    name,
    dims,
    data_type: type,
    raw_data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

/** One operator with one output. Attributes are whole numbers, lists of them, or texts. */
export function node(op_type, input, output, attributes = {}) {
  const attribute = Object.entries(attributes).map(([name, value]) => ({ name, ...attributeOf(value) }));
  return { op_type, input, output: [output], attribute };
}

function attributeOf(value) {
  if (Array.isArray(value)) return { ints: value, type: ATTRIBUTE_TYPES.ints };
  if (typeof value === 'string') return { s: Buffer.from(value), type: ATTRIBUTE_TYPES.string };
  return { i: value, type: ATTRIBUTE_TYPES.int };
}
