import { tensorToBinary } from '../protocol/tensor-coding.js';
import type { InferenceResult } from '../service/service.js';
import { WIRE } from './wire-reader.js';

/** Fields of ModelInferResponse and of ModelStreamInferResponse. */
const RAW_OUTPUT_CONTENTS = 6;
const INFER_RESPONSE = 2;

/** Writes a message, as the library for protobuf does. */
type Serialize = (message: object) => Uint8Array;

/** The answer to a request of a stream: a result, or why there is none. */
export type StreamAnswer =
  | { readonly result: InferenceResult }
  | { readonly error: string; readonly id: string };

/**
 * A message that nobody has put together yet. grpc-js copies a message into its frame by `copy`, so that is the only copy
 * of the elements. The library for protobuf would make one more of each.
 */
class Pieces {
  readonly byteLength: number;
  readonly #pieces: readonly Uint8Array[];

  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = pieces;
    this.byteLength = pieces.reduce((sum, { length }) => sum + length, 0);
  }

  /** As `Buffer.copy`. */
  copy(target: Uint8Array, start: number): void {
    let at = start;
    for (const piece of this.#pieces) {
      target.set(piece, at);
      at += piece.length;
    }
  }
}

/** Writes a ModelInferResponse. @param library writes one without its elements. */
export function answerWriter(library: Serialize): (result: InferenceResult) => Buffer {
  return (result) => asBuffer(answerPieces(result, library));
}

/**
 * Writes a ModelStreamInferResponse.
 *
 * @param answer writes a ModelInferResponse without its elements.
 * @param library writes a ModelStreamInferResponse without a result.
 */
export function streamAnswerWriter(answer: Serialize, library: Serialize): (answer: StreamAnswer) => Buffer {
  return (given) => {
    if ('error' in given) {
      return library({ error_message: given.error, infer_response: { id: given.id } }) as Buffer;
    }
    const pieces = answerPieces(given.result, answer);
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    return asBuffer([fieldHead(INFER_RESPONSE, length), ...pieces]);
  };
}

function answerPieces({ model, version, id, outputs }: InferenceResult, library: Serialize): Uint8Array[] {
  const head = library({
    model_name: model,
    model_version: version,
    ...(id !== undefined && { id }),
    outputs: outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
  });
  // Fields may follow each other in any order.
  const elements = outputs.map(tensorToBinary);
  return [head, ...elements.flatMap((bytes) => [fieldHead(RAW_OUTPUT_CONTENTS, bytes.length), bytes])];
}

/** grpc-js asks for a Buffer, and uses no more of it than this. */
function asBuffer(pieces: readonly Uint8Array[]): Buffer {
  return new Pieces(pieces) as unknown as Buffer;
}

/** The number of a field that has so many bytes, and this length. */
function fieldHead(field: number, length: number): Uint8Array {
  const bytes = [field * 8 + WIRE.bytes];
  let rest = length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
