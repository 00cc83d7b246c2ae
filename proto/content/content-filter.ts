import { ProtocolError } from '../errors.js';
import type { ContentName } from './content.js';

/**
 * A content filter tells the client at the start of a session which contents the host has. It holds the first 34 bits
 * of each name, sorted. Each entry is the difference to the entry before, with a variable length. Names are uniformly
 * random, so their first bits serve as fingerprints. The filter never misses a name that the host has. It accepts
 * another name with a probability of at most 2^14 / 2^34 = 2^-20.
 */
const FINGERPRINT_BITS = 34;
const FINGERPRINTS = 2 ** FINGERPRINT_BITS;

/** The most names of one filter. A host keeps no more contents, since it could not announce them. */
export const FILTER_NAMES = 1 << 14;

/**
 * Bytes of the largest filter. A difference of 2^21 or more takes a fourth byte. The sum of all differences is at most
 * 2^34, so at most 2^34 / 2^21 of them are that large. (Fifth bytes are rarer still.)
 */
export const FILTER_BYTES = 3 * FILTER_NAMES + 2 ** (FINGERPRINT_BITS - 21);

export class ContentFilter {
  /** Ascending, each once. */
  readonly #fingerprints: Float64Array;

  private constructor(fingerprints: Float64Array) {
    this.#fingerprints = fingerprints;
  }

  /** The filter of the first `FILTER_NAMES` names. Give the most important names first. */
  static of(names: Iterable<ContentName>): ContentFilter {
    const fingerprints = new Float64Array(FILTER_NAMES);
    let count = 0;
    for (const name of names) {
      if (count === FILTER_NAMES) break;
      fingerprints[count] = fingerprint(name);
      count += 1;
    }
    const sorted = fingerprints.subarray(0, count).sort();
    return new ContentFilter(sorted.filter((value, at) => value !== sorted[at - 1]));
  }

  /** @throws ProtocolError if `encode` cannot have written the bytes. */
  static decode(bytes: Uint8Array): ContentFilter {
    if (bytes.length > FILTER_BYTES) {
      throw new ProtocolError(
        `A content filter of ${bytes.length} bytes is over the limit of ${FILTER_BYTES}`,
      );
    }
    const fingerprints = new Float64Array(Math.min(bytes.length, FILTER_NAMES));
    let count = 0;
    for (let at = 0, value = -1; at < bytes.length; count += 1) {
      let difference = 0;
      let byte: number;
      let scale = 1;
      do {
        if (at === bytes.length) throw new ProtocolError('A content filter ends in the middle of an entry');
        byte = bytes[at] as number;
        at += 1;
        difference += (byte & 0x7f) * scale;
        scale *= 0x80;
        // This check for every byte stops an endless run of continuation bytes.
        if (scale > FINGERPRINTS * 2) throw new ProtocolError('An entry of a content filter is too long');
      } while (byte >= 0x80);
      value += difference;
      // The last byte of an entry is never 0: no difference is 0, and no entry is padded.
      if (byte === 0 || value >= FINGERPRINTS || count === FILTER_NAMES) {
        throw new ProtocolError('An entry of a content filter is out of order or out of range');
      }
      fingerprints[count] = value;
    }
    return new ContentFilter(fingerprints.subarray(0, count));
  }

  /** At most `FILTER_BYTES`. */
  encode(): Uint8Array {
    const bytes = new Uint8Array(FILTER_BYTES);
    let length = 0;
    let before = -1;
    for (const value of this.#fingerprints) {
      let rest = value - before;
      before = value;
      for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
        bytes[length] = (rest % 0x80) | 0x80;
        length += 1;
      }
      bytes[length] = rest;
      length += 1;
    }
    return bytes.slice(0, length);
  }

  /** False: the host did not hold the content when the filter was made. True: it most probably did. */
  mayHold(name: ContentName): boolean {
    const sought = fingerprint(name);
    let low = 0;
    let high = this.#fingerprints.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#fingerprints[middle] as number) < sought) low = middle + 1;
      else high = middle;
    }
    return this.#fingerprints[low] === sought;
  }
}

function fingerprint(name: ContentName): number {
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = name;
  return a * 2 ** 26 + b * 2 ** 18 + c * 2 ** 10 + d * 2 ** 2 + (e >>> 6);
}
