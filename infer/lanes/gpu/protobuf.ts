// Protobuf, as far as models are looked into before ONNX Runtime has them: a message is read field by field, and its
// weights are never copied.

import { joinBytes } from '../../service/tensor.js';

export interface Field {
  readonly number: number;
  /** Its value: a number as it is encoded, or what a field of bytes holds. */
  readonly bytes: Uint8Array;
  /** With its number and its length. */
  readonly whole: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** @throws RangeError where these bytes are no message */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  for (let at = 0; at < message.length; ) {
    const start = at;
    const tag = readVarint(message, at);
    let from = tag.end;
    let to: number;
    const wire = Number(tag.value & 7n);
    if (wire === 0) to = readVarint(message, from).end;
    else if (wire === 1) to = from + 8;
    else if (wire === 5) to = from + 4;
    else if (wire === 2) {
      const length = readVarint(message, from);
      from = length.end;
      to = from + Number(length.value);
    } else throw new RangeError(`protobuf has no wire type ${wire}`);
    if (to > message.length) throw new RangeError('a field is longer than its message');
    at = to;
    yield {
      number: Number(tag.value >> 3n),
      bytes: message.subarray(from, to),
      whole: message.subarray(start, to),
    };
  }
}

export function* varintsIn(bytes: Uint8Array): Generator<bigint> {
  for (let at = 0; at < bytes.length; ) {
    const { value, end } = readVarint(bytes, at);
    yield value;
    at = end;
  }
}

function readVarint(bytes: Uint8Array, at: number): { value: bigint; end: number } {
  let value = 0n;
  for (let index = at; index < at + 10; index += 1) {
    const byte = bytes[index];
    if (byte === undefined) break;
    value |= BigInt(byte & 127) << BigInt(7 * (index - at));
    if (byte < 128) return { value, end: index + 1 };
  }
  throw new RangeError('a number ends too late');
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

export function varintField(number: number, value: bigint): Uint8Array {
  return joinBytes([varint(BigInt(number) << 3n), varint(value)]);
}

export function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  return joinBytes([varint((BigInt(number) << 3n) | 2n), varint(BigInt(bytes.length)), bytes]);
}

export function numberOf(fields: readonly Field[], number: number): bigint {
  const field = fields.find((each) => each.number === number);
  return field ? readVarint(field.bytes, 0).value : 0n;
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

export function textOf(fields: readonly Field[], number: number): string {
  const field = fields.find((each) => each.number === number);
  return field ? decoder.decode(field.bytes) : '';
}
