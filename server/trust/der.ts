/**
 * The part of DER (X.690) that a certificate needs. Each function returns one whole element: tag, length, content.
 * This file only writes; Node reads certificates.
 */

export function sequence(...parts: Uint8Array[]): Uint8Array {
  return element(0x30, ...parts);
}

export function set(...parts: Uint8Array[]): Uint8Array {
  return element(0x31, ...parts);
}

/** A non-negative integer, big-endian. */
export function integer(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? Uint8Array.of(0) : bytes.subarray(start);
  // DER's integers are signed: a leading zero byte keeps a first bit of 1 positive.
  return element(0x02, Uint8Array.of(...((digits[0] as number) > 127 ? [0] : []), ...digits));
}

export function boolean(value: boolean): Uint8Array {
  return element(0x01, Uint8Array.of(value ? 0xff : 0));
}

/** @param dotted for example `2.5.29.17`. */
export function objectId(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(0x06, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** @param unusedBits how many low bits of the last byte do not count, 0 to 7; they must be zero. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  return element(0x03, Uint8Array.of(unusedBits), bytes);
}

export function octetString(bytes: Uint8Array): Uint8Array {
  return element(0x04, bytes);
}

export function utf8String(text: string): Uint8Array {
  return element(0x0c, new TextEncoder().encode(text));
}

/** A time in X.509's form (RFC 5280, 4.1.2.5): whole seconds, and a year of two digits until 2049. */
export function time(milliseconds: number): Uint8Array {
  const digits = `${new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '')}`;
  const short = digits < '2050';
  return element(short ? 0x17 : 0x18, new TextEncoder().encode(short ? digits.slice(2) : digits));
}

/** A context-specific element around others: `[number] EXPLICIT`. */
export function explicit(number: number, ...parts: Uint8Array[]): Uint8Array {
  return element(0xa0 | number, ...parts);
}

/** A context-specific element in place of a primitive one: `[number] IMPLICIT`. */
export function implicit(number: number, content: Uint8Array): Uint8Array {
  return element(0x80 | number, content);
}

function element(tag: number, ...parts: Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Uint8Array.of(tag, ...lengthBytes(length)), ...parts]);
}

function lengthBytes(length: number): number[] {
  if (length < 128) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

function base128(value: number): number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128))
    bytes.unshift(128 | (rest % 128));
  return bytes;
}
