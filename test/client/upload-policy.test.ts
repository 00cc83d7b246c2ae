import { describe, expect, it } from 'vitest';
import { UploadPolicy } from '#farlight/client/reuse/upload-policy.js';

const KIB = 1 << 10;
const policy = () => new UploadPolicy({ largestBytes: 1024 * KIB, leastBytes: 2 * KIB, mostAlike: 10 });

let targets = 0;
const upload = (length: number, target = `new ${targets++}`) => ({
  length,
  text: false,
  target: () => target,
});
const shader = (length: number) => ({
  length,
  text: true,
  target: () => expect.unreachable('the target of a shader decides nothing'),
});

/** Uploads, each a little longer than the one before. */
function longer(length: number) {
  let next = length;
  return () => {
    next += 4;
    return upload(next);
  };
}

/** How many of `count` uploads are named. */
const named = (uploads: UploadPolicy, count: number, make: () => ReturnType<typeof upload>) =>
  Array.from({ length: count }, () => uploads.isWorthNaming(make())).filter(Boolean).length;

describe('naming payloads', () => {
  it('names payloads from a threshold up to the largest that the host keeps', () => {
    const uploads = policy();
    const lengths = [1, 2 * KIB - 1, 2 * KIB, 1024 * KIB, 1024 * KIB + 1];
    expect(lengths.map((length) => uploads.isWorthNaming(upload(length)))).toEqual([
      false,
      false,
      true,
      true,
      false,
    ]);
    expect(lengths.map((length) => uploads.isWorthNaming(shader(length)))).toEqual([
      false,
      false,
      true,
      true,
      false,
    ]);
  });

  it('does not name payloads of a length that many others have', () => {
    const uploads = policy();
    expect(named(uploads, 100, () => upload(4 * KIB))).toBe(10);
    expect(named(uploads, 100, () => upload(8 * KIB))).toBe(10);
  });

  it('does not name a payload that overwrites an earlier upload of any length', () => {
    const uploads = policy();
    expect(uploads.isWorthNaming(upload(4 * KIB, 'a'))).toBe(true);
    expect(uploads.isWorthNaming(upload(4 * KIB, 'a'))).toBe(false);
    expect(uploads.isWorthNaming(upload(8 * KIB, 'a'))).toBe(false);
    expect(uploads.isWorthNaming(upload(4 * KIB, 'b'))).toBe(true);
  });

  it('names one payload of each length after the program has begun to read results', () => {
    const uploads = policy();
    uploads.isWorthNaming(upload(4 * KIB));
    uploads.readBack();
    expect(named(uploads, 100, () => upload(4 * KIB))).toBe(0);
    expect(named(uploads, 100, () => upload(8 * KIB))).toBe(1);
    expect(named(uploads, 50, longer(10 * KIB))).toBe(50);
  });

  it('names all parts of a payload, or none', () => {
    const uploads = policy();
    /** A payload in parts of 64 KiB, with a short one at the end. */
    const parts = (length: number, target?: string) => {
      const whole = { length };
      const place = upload(0, target);
      const ends = [...Array(Math.floor(length / (64 * KIB))).fill(64 * KIB), length % (64 * KIB)];
      return ends.map((bytes) => uploads.isWorthNaming({ ...place, length: bytes, whole }));
    };
    const long = (12 * 64 + 3) * KIB;
    expect(parts(long, 'weights')).toEqual(Array(13).fill(true));
    expect(parts(long, 'weights')).toEqual(Array(13).fill(false));
    expect(parts(2048 * KIB)).not.toContain(true);
    uploads.readBack();
    expect(parts(long)).toEqual(Array(13).fill(false));
    expect(parts(long - 4)).toEqual(Array(13).fill(true));
    expect(parts(65 * KIB)).toEqual([true, false]);
  });

  it('always names a shader', () => {
    const uploads = policy();
    uploads.readBack();
    expect(Array.from({ length: 100 }, () => uploads.isWorthNaming(shader(4 * KIB)))).not.toContain(false);
  });

  it('stops naming a stream whose lengths always differ', () => {
    const uploads = policy();
    expect(named(uploads, 10_000, longer(2 * KIB))).toBe(4096);
  });
});
