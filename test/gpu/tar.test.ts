import { describe, expect, it } from 'vitest';
import { readTar } from '#farlight/server/gpu/tar.js';

function entry(name: string, content: string, type = '0'): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write(type, 156);
  header.write('ustar', 257);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body]);
}

const END = Buffer.alloc(1024);
const read = (archive: Uint8Array) =>
  [...readTar(archive)].map(({ name, bytes }) => [name, Buffer.from(bytes).toString()]);

describe('a tar archive', () => {
  it('gives its files in order, and skips other entries', () => {
    const archive = Buffer.concat([
      entry('a', 'one'),
      entry('d/', '', '5'),
      entry('b', 'x'.repeat(513)),
      END,
    ]);
    expect(read(archive)).toEqual([
      ['a', 'one'],
      ['b', 'x'.repeat(513)],
    ]);
  });

  it('is refused where it is cut off anywhere', () => {
    const archive = Buffer.concat([entry('a', 'one'), entry('b', 'two'), END]);
    for (const length of [0, 100, 512, 600, 1024, 1536, 2048]) {
      expect(() => read(archive.subarray(0, length)), `${length} bytes`).toThrow(/cut off|no end/);
    }
  });

  it('is refused with a damaged header', () => {
    const archive = Buffer.concat([entry('a', 'one'), END]);
    archive[0] = 0x62;
    expect(() => read(archive)).toThrow('bad tar header');
  });
});
