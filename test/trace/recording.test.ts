import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import {
  RECORD,
  RecordingReader,
  RecordingWriter,
} from '#farlight/client/observers/recording/recording-file.js';
import { ScriptedTransport, turn } from '../support/clients/scripted-transport.js';
import { reading } from '../support/files/recordings.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

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
  it('a recording is read as it was written, over any number of blocks', () => {
    const { records, header, truncated } = read(write(frames));
    expect([header, truncated]).toEqual([HEADER, false]);
    expect(records.map(({ kind, ms }) => [kind, ms])).toEqual(
      frames.map((_, index) => [index % 2, index / 4]),
    );
    for (const [index, { bytes }] of records.entries())
      expect(Buffer.compare(bytes, frames[index] as Uint8Array)).toBe(0);
  });

  it('a recording that is cut off gives its whole blocks and says so, or is rejected in one sentence', () => {
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

  it('a recording with a changed byte is rejected in one sentence, or differs only in times and texts', () => {
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

  it('takes no memory for excessive lengths', () => {
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

  it('does not unpack more than the block announces', () => {
    const bomb = write([new Uint8Array(200_000)]);
    const at = 12 + bomb.readUInt32LE(8);
    bomb.writeUInt32LE(1000, at + 4);
    expect(() => read(bomb)).toThrow(/block 1 cannot be unpacked/);
  });

  it('distinguishes another format from another version', () => {
    expect(() => read(Buffer.from('{"traceEvents":[]}'))).toThrow(/not a recording of farlight/);
    expect(() => read(Buffer.alloc(0))).toThrow(/not a recording of farlight/);
    const other = write([]);
    other[7] = 2;
    expect(() => read(other)).toThrow(/another version/);
  });
});

it('each accepted session has its own recording, and sessions that no host accepted share one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-recordings-'));
  const transport = new ScriptedTransport(new FakeGpu().gpu);
  const gpu = create({ transport, record: join(folder, 'out.fltrace') });
  const files = () => readdirSync(folder).sort();
  const kinds = (name: string) => [
    ...new Set(read(readFileSync(join(folder, name))).records.map(({ kind }) => kind)),
  ];
  for (let time = 0; time < 3; time += 1) {
    const asked = gpu.requestAdapter();
    await turn();
    transport.break('nobody is there');
    await expect(asked).rejects.toThrow('nobody is there');
    expect(files()).toEqual(['out.fltrace']);
    expect(kinds('out.fltrace')).toEqual([RECORD.up, RECORD.closed]);
  }
  for (let time = 0; time < 2; time += 1) {
    const asked = gpu.requestAdapter();
    await turn();
    transport.welcome();
    await transport.settle();
    await asked;
    transport.break('it is gone');
  }
  const [first = '', second = '', ...more] = files();
  expect([first, second, more]).toEqual([`out.${process.pid}-2.fltrace`, 'out.fltrace', []]);
  for (const name of [first, second])
    expect(kinds(name)).toEqual([RECORD.up, RECORD.welcome, RECORD.down, RECORD.closed]);
  close(gpu);
  rmSync(folder, { recursive: true });
});
