import {
  noSharedMemory,
  type ProtocolRequest,
  type WantedOutput,
  wantedOutput,
} from '../protocol/request.js';
import { quoted, tensorFromBinary, tensorHead } from '../protocol/tensor-coding.js';
import { InferenceError, invalid } from '../service/service.js';
import { tensorFromContents } from './tensor-contents.js';
import { WIRE, WireReader } from './wire-reader.js';

/** The most inputs, outputs, or parameters: each is an object of its own, however short its message is. */
const MOST_ENTRIES = 1024;

/** An InferInputTensor, before it is known where its elements are. */
interface InputMessage {
  name: string;
  datatype: string;
  shape: number[];
  contents: Uint8Array | undefined;
}

/** A request, or its error. Both have the id. */
export interface ReadRequest {
  /** The length of its message. */
  readonly bytes: number;
  readonly id: string;
  readonly request: ProtocolRequest | undefined;
  readonly error: InferenceError | undefined;
}

/**
 * Reads a ModelInferRequest. The library for protobuf would make objects of all elements first, and round integers. This
 * function never throws: gRPC would blame the server for a client's wrong message.
 */
export function readInferRequest(bytes: Uint8Array): ReadRequest {
  const message = { id: '' };
  try {
    const request = read(bytes, message);
    return { bytes: bytes.length, id: message.id, request, error: undefined };
  } catch (error) {
    if (!(error instanceof InferenceError)) throw error;
    return { bytes: bytes.length, id: message.id, request: undefined, error };
  }
}

function read(bytes: Uint8Array, message: { id: string }): ProtocolRequest {
  const reader = new WireReader(bytes);
  let model = '';
  let version = '';
  const parameters: Record<string, unknown> = Object.create(null);
  const inputs: InputMessage[] = [];
  const outputs: WantedOutput[] = [];
  const raw: Uint8Array[] = [];
  let entries = 0;
  while (reader.next()) {
    entries += 1;
    if (entries > MOST_ENTRIES)
      throw invalid(`the request has more than ${MOST_ENTRIES} inputs, outputs and parameters`);
    switch (reader.field) {
      case 1:
        model = reader.text();
        break;
      case 2:
        version = reader.text();
        break;
      case 3:
        message.id = reader.text();
        break;
      case 4:
        readParameter(reader.message(), parameters);
        break;
      case 5:
        inputs.push(readInput(reader.message()));
        break;
      case 6:
        outputs.push(readOutput(reader.message()));
        break;
      case 7:
        reader.expect(WIRE.bytes);
        raw.push(reader.bytes());
        break;
      default:
        reader.skip();
    }
  }
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw invalid(
      `raw_input_contents has ${raw.length} entries for ${inputs.length} inputs; send one for each input, in their order`,
    );
  }
  return {
    model,
    version: version || undefined,
    id: message.id || undefined,
    parameters,
    inputs: inputs.map((input, at) => {
      const head = tensorHead(input.name, input.datatype, input.shape);
      const bytes = raw[at];
      if (bytes === undefined) return tensorFromContents(head, input.contents);
      if (input.contents !== undefined) {
        throw invalid(
          `input ${quoted(input.name)} has both contents and raw_input_contents; send one of them`,
        );
      }
      return tensorFromBinary(head, bytes);
    }),
    outputs,
  };
}

function readInput(reader: WireReader): InputMessage {
  const input: InputMessage = { name: '', datatype: '', shape: [], contents: undefined };
  const parameters: Record<string, unknown> = Object.create(null);
  let entries = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        input.name = reader.text();
        break;
      case 2:
        input.datatype = reader.text();
        break;
      case 3:
        readShape(reader, input.shape);
        break;
      case 4:
        entries += 1;
        if (entries > MOST_ENTRIES) throw invalid(`an input has more than ${MOST_ENTRIES} parameters`);
        readParameter(reader.message(), parameters);
        break;
      case 5:
        reader.expect(WIRE.bytes);
        if (input.contents) throw invalid('an input has its contents twice');
        input.contents = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  noSharedMemory(parameters);
  return input;
}

/** The dimensions, in one run or one by one. A number beyond 2^53 is no dimension: it is refused with the shape. */
function readShape(reader: WireReader, shape: number[]): void {
  const run = reader.wire === WIRE.bytes ? new WireReader(reader.bytes()) : reader;
  if (run === reader) reader.expect(WIRE.varint);
  do {
    if (run.ended) return;
    // One more than there may be is enough to refuse the shape.
    if (shape.length > MOST_ENTRIES) throw invalid(`an input has more than ${MOST_ENTRIES} dimensions`);
    shape.push(run.signed() ?? Number.POSITIVE_INFINITY);
  } while (run !== reader);
}

function readOutput(reader: WireReader): WantedOutput {
  let name = '';
  const parameters: Record<string, unknown> = Object.create(null);
  let entries = 0;
  while (reader.next()) {
    if (reader.field === 1) name = reader.text();
    else if (reader.field === 2) {
      entries += 1;
      if (entries > MOST_ENTRIES) throw invalid(`an output has more than ${MOST_ENTRIES} parameters`);
      readParameter(reader.message(), parameters);
    } else reader.skip();
  }
  noSharedMemory(parameters);
  return wantedOutput(name, parameters);
}

/** An entry of a map of InferParameter. */
function readParameter(reader: WireReader, parameters: Record<string, unknown>): void {
  let key = '';
  let value: unknown;
  while (reader.next()) {
    if (reader.field === 1) key = reader.text();
    else if (reader.field === 2) value = readValue(reader.message());
    else reader.skip();
  }
  parameters[key] = value;
}

function readValue(reader: WireReader): unknown {
  let value: unknown;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        reader.expect(WIRE.varint);
        value = reader.low32() !== 0;
        break;
      case 2:
        reader.expect(WIRE.varint);
        value = reader.signed() ?? Number.NaN;
        break;
      case 3:
        value = reader.text();
        break;
      case 4:
        reader.expect(WIRE.fixed64);
        value = reader.float64();
        break;
      case 5:
        reader.expect(WIRE.varint);
        value = reader.number();
        break;
      default:
        reader.skip();
    }
  }
  return value;
}
