const BLOCK = 512;

/** A regular file in a tar archive. `bytes` is a view into the archive. */
export interface TarEntry {
  name: string;
  bytes: Uint8Array;
}

/**
 * The regular files of a ustar archive in memory, in order. Skips directories, links and extension headers.
 *
 * @throws Error where the archive is cut off or a header's checksum is wrong.
 */
export function* readTar(archive: Uint8Array): Generator<TarEntry> {
  let offset = 0;
  while (offset + BLOCK <= archive.length) {
    const header = archive.subarray(offset, offset + BLOCK);
    if (header.every((byte) => byte === 0)) return;
    if (checksum(header) !== octal(header, 148, 8)) throw new Error(`bad tar header at byte ${offset}`);
    const size = octal(header, 124, 12);
    const start = offset + BLOCK;
    if (start + size > archive.length) throw new Error(`tar archive is cut off at byte ${archive.length}`);
    const type = header[156];
    if (type === 0 || type === 0x30) {
      yield { name: text(header, 0, 100), bytes: archive.subarray(start, start + size) };
    }
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new Error('tar archive has no end');
}

function text(header: Uint8Array, at: number, length: number): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

function octal(header: Uint8Array, at: number, length: number): number {
  const digits = text(header, at, length).trim();
  if (!/^[0-7]+$/.test(digits)) throw new Error(`bad number in a tar header: "${digits}"`);
  return Number.parseInt(digits, 8);
}

/** The sum of a header's bytes, with the checksum's own field counted as spaces. */
function checksum(header: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : (header[i] ?? 0);
  return sum;
}
