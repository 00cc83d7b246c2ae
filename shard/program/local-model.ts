import type { AttributeProto, NodeProto, TensorProto } from 'onnx-buf';
import { type ConvLayout, rightLayoutFor } from '../../proto/conv-layout.js';
import type { Region } from '../layout/region.js';
import type { Constant } from '../onnx/constants.js';
import type { Libraries } from '../onnx/libraries.js';
import { bytesOfType, type Model, opsetOf } from '../onnx/model.js';
import { TYPES } from '../onnx/observe.js';

/** The type and the lengths of a tensor of a local model. Undefined lengths differ from run to run. */
export interface LocalTensor {
  readonly dataType: number;
  readonly dims: readonly (number | undefined)[];
}

/** The ONNX model of what one host does in one stage, while it is put together. */
export class LocalModel {
  readonly #libraries: Libraries;
  readonly #model: Model;
  readonly #nodes: NodeProto[] = [];
  readonly #initializers = new Map<string, TensorProto>();
  readonly #inputs = new Map<string, LocalTensor>();
  readonly #outputs = new Set<string>();
  #count = 0;

  constructor(libraries: Libraries, model: Model) {
    this.#libraries = libraries;
    this.#model = model;
  }

  /** The inputs that its nodes take. ONNX Runtime would wait for the GPU to read one that no node takes. */
  get inputs(): readonly string[] {
    const taken = new Set(this.#nodes.flatMap(({ input }) => input));
    return [...this.#inputs.keys()].filter((name) => taken.has(name));
  }

  get outputs(): readonly string[] {
    return [...this.#outputs];
  }

  /** The layout in which all its convolutions are right. Parts of one that is right may be wrong. */
  get layout(): ConvLayout {
    return rightLayoutFor([...this.#initializers.values()].map(({ dims }) => dims.map(Number)));
  }

  addInput(name: string, tensor: LocalTensor): void {
    this.#inputs.set(name, tensor);
  }

  addOutput(name: string): void {
    this.#outputs.add(name);
  }

  addWeight(name: string, { dataType, shape, data }: Constant): void {
    if (this.#initializers.has(name)) return;
    const { onnx, protobuf } = this.#libraries;
    const dims = shape.map(BigInt);
    this.#initializers.set(
      name,
      protobuf.create(onnx.TensorProtoSchema, { name, dataType, dims, rawData: new Uint8Array(data) }),
    );
  }

  /** Adds whole numbers as a constant. Returns its name. */
  addNumbers(numbers: readonly number[]): string {
    const name = this.fresh('numbers');
    const data = new Uint8Array(BigInt64Array.from(numbers, BigInt).buffer);
    this.addWeight(name, { dataType: TYPES.int64 as number, shape: [numbers.length], data });
    return name;
  }

  /** Adds a node of the model with other inputs, outputs and attributes. */
  addNode(
    proto: NodeProto,
    input: string[],
    output: string[],
    changes: Readonly<Record<string, number>>,
  ): void {
    const { onnx, protobuf } = this.#libraries;
    const node = protobuf.clone(onnx.NodeProtoSchema, proto);
    Object.assign(node, { input, output });
    for (const [name, value] of Object.entries(changes)) {
      const attribute = node.attribute.find((one) => one.name === name);
      if (attribute) attribute.i = BigInt(value);
      else node.attribute.push(this.#integer(name, value));
    }
    this.#nodes.push(node);
  }

  /** A region of a tensor, in the tensor's own coordinates. Returns its name. */
  slice(name: string, dims: readonly number[], { start, end }: Region): string {
    const axes = [...dims.keys()].filter((axis) => start[axis] !== 0 || end[axis] !== dims[axis]);
    if (axes.length === 0) return name;
    const [starts, ends] = [
      axes.map((axis) => start[axis] as number),
      axes.map((axis) => end[axis] as number),
    ];
    if (opsetOf(this.#model) < 10)
      return this.#node(
        'Slice',
        [name],
        [this.#integers('starts', starts), this.#integers('ends', ends), this.#integers('axes', axes)],
      );
    return this.#node('Slice', [name, ...[starts, ends, axes].map((numbers) => this.addNumbers(numbers))]);
  }

  /** A tensor with zeros around it: `before` and `after` are their counts by axis. Returns its name. */
  pad(name: string, before: readonly number[], after: readonly number[]): string {
    const counts = [...before, ...after];
    if (counts.every((count) => count === 0)) return name;
    return opsetOf(this.#model) < 11
      ? this.#node('Pad', [name], [this.#integers('pads', counts)])
      : this.#node('Pad', [name, this.addNumbers(counts)]);
  }

  concat(names: readonly string[], axis: number): string {
    return names.length === 1
      ? (names[0] as string)
      : this.#node('Concat', names, [this.#integer('axis', axis)]);
  }

  add(names: readonly string[]): string {
    return names.reduce((sum, name) => this.#node('Add', [sum, name]));
  }

  /** Zeros of a tensor's shape. */
  zerosLike(name: string, dataType: number): string {
    const { onnx, protobuf } = this.#libraries;
    const zero = protobuf.create(onnx.TensorProtoSchema, {
      dataType,
      dims: [1n],
      rawData: new Uint8Array(bytesOfType(dataType)),
    });
    const value = protobuf.create(onnx.AttributeProtoSchema, { name: 'value', type: 4, t: zero });
    return this.#node('ConstantOfShape', [this.#node('Shape', [name])], [value]);
  }

  identity(name: string): string {
    return this.#node('Identity', [name]);
  }

  /** A name that no other tensor of this model has. */
  fresh(what: string): string {
    this.#count += 1;
    return `farlight.${what}.${this.#count}`;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const { onnx, protobuf } = this.#libraries;
    const graph = protobuf.create(onnx.GraphProtoSchema, {
      name: 'local',
      node: this.#nodes,
      initializer: [...this.#initializers.values()],
      input: this.inputs.map((name) => this.#value(name, this.#inputs.get(name) as LocalTensor)),
      output: [...this.#outputs].map((name) => protobuf.create(onnx.ValueInfoProtoSchema, { name })),
    });
    const { irVersion, opsetImport } = this.#model;
    const made = protobuf.create(onnx.ModelProtoSchema, { irVersion, opsetImport, graph });
    return new Uint8Array(protobuf.toBinary(onnx.ModelProtoSchema, made));
  }

  #value(name: string, { dataType, dims }: LocalTensor) {
    const { onnx, protobuf } = this.#libraries;
    const dim = dims.map((size) =>
      protobuf.create(
        onnx.TensorShapeProto_DimensionSchema,
        size === undefined ? {} : { value: { case: 'dimValue', value: BigInt(size) } },
      ),
    );
    const shape = protobuf.create(onnx.TensorShapeProtoSchema, { dim });
    const tensor = protobuf.create(onnx.TypeProto_TensorSchema, { elemType: dataType, shape });
    const type = protobuf.create(onnx.TypeProtoSchema, { value: { case: 'tensorType', value: tensor } });
    return protobuf.create(onnx.ValueInfoProtoSchema, { name, type });
  }

  #node(opType: string, input: readonly string[], attribute: AttributeProto[] = []): string {
    const { onnx, protobuf } = this.#libraries;
    const output = this.fresh(opType.toLowerCase());
    this.#nodes.push(
      protobuf.create(onnx.NodeProtoSchema, { opType, input: [...input], output: [output], attribute }),
    );
    return output;
  }

  /** The numbers of AttributeProto.AttributeType: 2 is a whole number, 7 a list of them. */
  #integer(name: string, value: number): AttributeProto {
    const { onnx, protobuf } = this.#libraries;
    return protobuf.create(onnx.AttributeProtoSchema, { name, type: 2, i: BigInt(value) });
  }

  #integers(name: string, values: readonly number[]): AttributeProto {
    const { onnx, protobuf } = this.#libraries;
    return protobuf.create(onnx.AttributeProtoSchema, { name, type: 7, ints: values.map(BigInt) });
  }
}
