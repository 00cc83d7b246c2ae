import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECORD, RecordingReader, RecordingWriter } from '#farlight/client/recording/recording.js';
import { reading } from '../support/recordings.js';

const HEADER = { farlight: '1.2.3', protocol: 2, program: 'app.mjs', recordedAt: '2026-11-22T06:00:00.000Z' };

function write(frames: Uint8Array[]): Buffer {
  const parts: Uint8Array[] = [];
  const writer = new RecordingWriter(HEADER, (bytes) => parts.push(bytes));
  for (const [index, frame] of frames.entries())
    writer.add(index % 2 ? RECORD.down : RECORD.up, index / 4, frame);
  writer.flush();
  return Buffer.concat(parts);
}

function read(bytes: Uint8Array) {
  const reader = new RecordingReader(reading(bytes));
  return { records: [...reader.records()], header: reader.header, truncated: reader.truncated };
}

const frames = Array.from({ length: 12 }, (_, index) => new Uint8Array(index * 30_000).fill(index * 7));

describe('a recording', () => {
  it('is read as it was written, over any number of blocks', () => {
    const { records, header, truncated } = read(write(frames));
    expect([header, truncated]).toEqual([HEADER, false]);
    expect(records.map(({ kind, ms }) => [kind, ms])).toEqual(
      frames.map((_, index) => [index % 2, index / 4]),
    );
    for (const [index, { bytes }] of records.entries())
      expect(Buffer.compare(bytes, frames[index] as Uint8Array)).toBe(0);
  });

  it('that is cut off anywhere gives what is there and says so, or is refused in one sentence', () => {
    const whole = write(frames);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (length) => {
        const cut = whole.subarray(0, length);
        try {
          const { records } = read(cut);
          for (const [index, { bytes }] of records.entries())
            expect(Buffer.compare(bytes, frames[index] as Uint8Array)).toBe(0);
          expect(records.length).toBeLessThan(frames.length);
        } catch (error) {
          expect(error).toMatchObject({ code: 'BAD_RECORDING' });
        }
      }),
      { numRuns: 200 },
    );
  });

  it('with any byte changed is refused in one sentence, or only its times and texts are other ones', () => {
    const whole = write(frames);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: whole.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, by) => {
          const spoilt = Buffer.from(whole);
          spoilt[at] = (spoilt[at] as number) ^ by;
          try {
            const { records } = read(spoilt);
            for (const [index, { bytes }] of records.entries())
              expect(Buffer.compare(bytes, frames[index] as Uint8Array)).toBe(0);
          } catch (error) {
            expect(error).toMatchObject({
              code: 'BAD_RECORDING',
              message: expect.stringMatching(/^the recording cannot be replayed: [^\n]+$/),
            });
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('takes no memory for lengths that are too large', () => {
    const asked: number[] = [];
    const whole = write(frames);
    const headed = whole.subarray(0, 12 + whole.readUInt32LE(8));
    const giant = Buffer.alloc(12);
    giant.writeUInt32LE(0xffff_ffff, 0);
    const source = reading(Buffer.concat([headed, giant]));
    const reader = new RecordingReader((length) => {
      asked.push(length);
      return source(length);
    });
    expect(() => [...reader.records()]).toThrow(/block 1 is too long/);
    expect(Math.max(...asked)).toBeLessThan(1 << 20);
  });

  it('does not unpack to more than its block says', () => {
    const bomb = write([new Uint8Array(200_000)]);
    const at = 12 + bomb.readUInt32LE(8);
    bomb.writeUInt32LE(1000, at + 4);
    expect(() => read(bomb)).toThrow(/block 1 cannot be unpacked/);
  });

  it('of another format, or another version of it, is told apart', () => {
    expect(() => read(Buffer.from('{"traceEvents":[]}'))).toThrow(/no recording of farlight/);
    expect(() => read(Buffer.alloc(0))).toThrow(/no recording of farlight/);
    const other = write([]);
    other[7] = 2;
    expect(() => read(other)).toThrow(/another version/);
  });
});
