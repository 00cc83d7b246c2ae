import {
  isObject,
  noSharedMemory,
  type ProtocolRequest,
  parametersOf,
  type WantedOutput,
  wantedOutput,
} from '../protocol/request.js';
import {
  elementsOf,
  quoted,
  RoundedInteger,
  tensorFromBinary,
  tensorFromJson,
  tensorHead,
  tensorToBinary,
  tensorToJson,
} from '../protocol/tensor-coding.js';
import { type InferenceResult, type InferenceService, invalid } from '../service/service.js';
import { ELEMENT_BYTES, type Tensor } from '../service/tensor.js';
import { readJson, readJsonWithLongIntegers } from './json.js';

/** The most bytes of the JSON of a request: as objects it takes many times as much. Longer inputs are sent as binary data. */
const MOST_JSON = 32 << 20;

/** A request for a result, and the form of each output that the client wants. */
export interface InferMessage {
  readonly request: ProtocolRequest;
  isBinary(output: string): boolean;
}

/**
 * Reads the body of a request for a result: JSON, and behind it the binary data of the inputs that have it.
 *
 * @param headerLength `Inference-Header-Content-Length`, the length of the JSON where binary data follows it. 0 says that
 * the body is nothing but the binary data of the model's only input.
 * @throws InferenceError
 */
export function readInferMessage(
  service: InferenceService,
  { model, version }: { model: string; version: string | undefined },
  body: Uint8Array,
  headerLength: string | undefined,
): InferMessage {
  if (
    headerLength !== undefined &&
    (!/^\d{1,15}$/.test(headerLength) || Number(headerLength) > body.length)
  ) {
    throw invalid(
      `Inference-Header-Content-Length is ${quoted(headerLength)}; it is the length of the JSON within the body of ${body.length} bytes`,
    );
  }
  const jsonLength = headerLength === undefined ? body.length : Number(headerLength);
  if (headerLength !== undefined && jsonLength === 0) {
    const inputs = [onlyInput(service, model, version, body)];
    const request = { model, version, id: undefined, parameters: {}, inputs, outputs: [] };
    return { request, isBinary: () => true };
  }
  if (jsonLength > MOST_JSON) {
    throw invalid(`the JSON is longer than ${MOST_JSON} bytes; send large tensors as binary data`);
  }
  const json = body.subarray(0, jsonLength);
  const binary = body.subarray(jsonLength);
  const what =
    headerLength === undefined ? 'the request, without Inference-Header-Content-Length,' : 'the request';
  const read = readJson(json, what);
  try {
    return toMessage(read, model, version, binary);
  } catch (error) {
    if (!(error instanceof RoundedInteger)) throw error;
    return toMessage(readJsonWithLongIntegers(json, 'the request'), model, version, binary);
  }
}

function toMessage(
  json: unknown,
  model: string,
  version: string | undefined,
  binary: Uint8Array,
): InferMessage {
  if (!isObject(json)) throw invalid('the request is a JSON object with "inputs"');
  const { id } = json;
  if (id !== undefined && typeof id !== 'string') throw invalid('"id" is a string');
  const parameters = parametersOf(json);
  if (!Array.isArray(json.inputs)) throw invalid('the request needs "inputs", an array');
  const rest = { bytes: binary };
  const inputs = json.inputs.map((input) => readInput(input, rest));
  if (rest.bytes.length > 0) {
    throw invalid(
      `${rest.bytes.length} bytes behind the JSON belong to no input; binary_data_size says how many each has`,
    );
  }
  const outputs: WantedOutput[] = [];
  const binaryByDefault = parameters.binary_data_output === true;
  const binaryOf = new Map<string, boolean>();
  if (json.outputs !== undefined && !Array.isArray(json.outputs)) throw invalid('"outputs" is an array');
  for (const output of json.outputs ?? []) {
    if (!isObject(output)) throw invalid('each output is an object with a name');
    const own = parametersOf(output);
    noSharedMemory(own);
    const wanted = wantedOutput(output.name, own);
    outputs.push(wanted);
    if (own.binary_data !== undefined) binaryOf.set(wanted.name, own.binary_data === true);
  }
  return {
    request: { model, version, id, parameters, inputs, outputs },
    isBinary: (output) => binaryOf.get(output) ?? binaryByDefault,
  };
}

/** @param rest the binary data that the inputs before this one have left. */
function readInput(input: unknown, rest: { bytes: Uint8Array }): Tensor {
  if (!isObject(input)) throw invalid('each input is an object with name, datatype and shape');
  const head = tensorHead(input.name, input.datatype, input.shape);
  const parameters = parametersOf(input);
  noSharedMemory(parameters);
  const { binary_data_size: size } = parameters;
  if (size === undefined) return tensorFromJson(head, input.data);
  if (input.data !== undefined) {
    throw invalid(`input ${quoted(head.name)} has both "data" and binary data; send one of them`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || size > rest.bytes.length) {
    throw invalid(
      `input ${quoted(head.name)} has the binary_data_size ${quoted(size)}, and ${rest.bytes.length} bytes are left of the body`,
    );
  }
  const own = rest.bytes.subarray(0, size);
  rest.bytes = rest.bytes.subarray(size);
  return tensorFromBinary(head, own);
}

/** The tensor of a request that is binary data alone: the model says what it is. */
function onlyInput(
  service: InferenceService,
  model: string,
  version: string | undefined,
  bytes: Uint8Array,
): Tensor {
  const { inputs } = service.metadata(model, version);
  const [input] = inputs;
  const wrong = (why: string) =>
    invalid(
      `a body of binary data alone is for a model with one input of known shape, and ${quoted(model)} ${why}`,
    );
  if (!input || inputs.length > 1) throw wrong(`has ${inputs.length} inputs`);
  const batched = service.configuration(model, version).maxBatchSize > 0;
  const shape = input.shape.map((each, axis) => (batched && axis === 0 ? 1 : each));
  const unknown = shape.filter((each) => each < 0).length;
  if (input.datatype === 'BYTES') {
    if (shape.some((each) => each !== 1)) throw wrong('takes more than one element of BYTES');
    // One element, without its length.
    return { name: input.name, datatype: 'BYTES', shape, data: [new Uint8Array(bytes)] };
  }
  if (unknown > 1) throw wrong('has more than one dimension of any length');
  const one = { ...input, shape: shape.map((each) => (each < 0 ? 1 : each)) };
  const size = elementsOf(one) * (ELEMENT_BYTES[input.datatype] ?? 1);
  const length = unknown === 0 || size === 0 ? 1 : Math.floor(bytes.length / size);
  return tensorFromBinary({ ...input, shape: shape.map((each) => (each < 0 ? length : each)) }, bytes);
}

/** The body of an answer, in pieces, and the length of the JSON before its binary data; undefined where there is none. */
export function writeInferAnswer(
  { model, version, id, outputs }: InferenceResult,
  isBinary: (output: string) => boolean,
): { body: readonly Uint8Array[]; headerLength: number | undefined } {
  const pieces: Uint8Array[] = [];
  const written = outputs.map((output) => {
    const { name, datatype, shape } = output;
    const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join()}]`;
    if (!isBinary(name)) return `${head},"data":${tensorToJson(output)}}`;
    const bytes = tensorToBinary(output);
    pieces.push(bytes);
    return `${head},"parameters":{"binary_data_size":${bytes.length}}}`;
  });
  const facts = [
    ...(id === undefined ? [] : [`"id":${JSON.stringify(id)}`]),
    `"model_name":${JSON.stringify(model)}`,
    `"model_version":${JSON.stringify(version)}`,
  ];
  const json = Buffer.from(`{${facts.join()},"outputs":[${written.join()}]}`);
  return { body: [json, ...pieces], headerLength: pieces.length === 0 ? undefined : json.length };
}
