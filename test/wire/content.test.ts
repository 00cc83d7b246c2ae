import { describe, expect, it } from 'vitest';
import { hashContent } from '#farlight/link/machine/hashing.js';
import {
  type ContentName,
  contentNameFromHex,
  contentNameToHex,
  sameContentName,
  toContentName,
} from '#farlight/proto/content/content.js';
import { ProtocolError } from '#farlight/proto/errors.js';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('the name of a content', () => {
  it.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  ])('the name of a content is its SHA-256: "%s"', (content, hex) => {
    expect(contentNameToHex(hashContent(bytes(content)))).toBe(hex);
  });

  it('a name covers exactly the bytes of a view, also in shared memory', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 3);
    shared.set(bytes('abc'));
    expect(hashContent(shared)).toEqual(hashContent(bytes('abc')));
  });

  it('a name is an array of its own, and no Buffer', () => {
    const name = hashContent(bytes('abc'));
    expect([name.constructor, name.buffer.byteLength]).toEqual([Uint8Array, 32]);
  });

  it('a name comes back from its hex', () => {
    for (let at = 0; at < 256; at += 1) {
      const name = hashContent(new Uint8Array([at]));
      const again = contentNameFromHex(contentNameToHex(name)) as ContentName;
      expect(again).toEqual(name);
      expect(sameContentName(again, name)).toBe(true);
    }
  });

  it('a name differs from a name with one other byte', () => {
    const name = hashContent(bytes('abc'));
    for (let at = 0; at < 32; at += 1) {
      const other = toContentName(name.slice());
      other[at] = (other[at] as number) ^ 1;
      expect(sameContentName(name, other), `byte ${at}`).toBe(false);
    }
  });

  it.each([0, 31, 33, 64])('a name cannot have %d bytes', (length) => {
    expect(() => toContentName(new Uint8Array(length))).toThrow(ProtocolError);
  });

  it.each([
    ['nothing', ''],
    ['too little', 'a'.repeat(63)],
    ['too much', 'a'.repeat(65)],
    ['upper case', 'A'.repeat(64)],
    ['another folder', `../${'a'.repeat(61)}`],
    ['a line break', `${'a'.repeat(64)}\n`],
  ])('a name is not read from %s', (_name, text) => {
    expect(contentNameFromHex(text)).toBeUndefined();
  });
});
