import {
  appendFileSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { CheckpointStore } from '#farlight/stream/log/checkpoint-store.js';
import {
  BrokenLogError,
  type NewRecord,
  RecordLog,
  type SourceLog,
} from '#farlight/stream/log/record-log.js';
import { Reader } from '#farlight/stream/run/reader.js';
import { folders } from '../support/trust/trust.js';
import { numberOf, tensorOf } from './support/numbers.js';

const temporary = folders();
afterAll(() => temporary.remove());

function recordOf(value: number): NewRecord {
  return { key: `k${value % 3}`, values: { x: tensorOf(value) }, position: value };
}

/** The numbers of the records from an offset on. */
async function numbersFrom(log: RecordLog, offset: number): Promise<number[]> {
  const cursor = log.cursor(offset);
  const numbers: number[] = [];
  try {
    for (let record = await cursor.next(); record; record = await cursor.next()) {
      expect(record.offset).toBe(offset + numbers.length);
      numbers.push(numberOf(record.values.x as never));
    }
  } finally {
    await cursor.close();
  }
  return numbers;
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at);

describe('the log of a source', () => {
  it('gives its records from any offset on, over all its files, also after it was opened again', async () => {
    const folder = temporary.make();
    const options = { folder, durable: false, segmentBytes: 1000 };
    let log = await RecordLog.open(options);
    const offsets = await Promise.all(numbers(0, 40).map((value) => log.append(recordOf(value))));
    expect(offsets).toEqual(numbers(0, 40));
    for (const value of numbers(40, 60)) await log.append(recordOf(value));
    await log.close();
    log = await RecordLog.open(options);
    expect(readdirSync(folder).length).toBeGreaterThan(2);
    expect(log.end).toBe(60);
    for (const from of [0, 1, 17, 40, 59, 60])
      expect(await numbersFrom(log, from)).toEqual(numbers(from, 60));
    await log.close();
  });

  it('shows a cursor that waits at its end the records that come later', async () => {
    const log = await RecordLog.open({ folder: temporary.make(), durable: true, segmentBytes: 300 });
    const cursor = log.cursor(0);
    for (const value of numbers(0, 10)) {
      expect(await cursor.next()).toBeUndefined();
      await log.append(recordOf(value));
      expect((await cursor.next())?.position).toBe(value);
    }
    await cursor.close();
    await log.close();
  });

  it('ends at its last whole record where a crash has cut its file, and goes on there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (cut) => {
        const folder = temporary.make();
        const log = await RecordLog.open({ folder, durable: false });
        for (const value of numbers(0, 5)) await log.append(recordOf(value));
        await log.close();
        const file = join(folder, readdirSync(folder)[0] as string);
        const size = readFileSync(file).length;
        truncateSync(file, cut % (size + 1));
        const again = await RecordLog.open({ folder, durable: false });
        const left = again.end;
        expect(left).toBe(Math.floor((cut % (size + 1)) / (size / 5)));
        await again.append(recordOf(left));
        expect(await numbersFrom(again, 0)).toEqual(numbers(0, left + 1));
        await again.close();
      }),
      { numRuns: 30 },
    );
  });

  it('ends before bytes that are no record', async () => {
    const folder = temporary.make();
    const log = await RecordLog.open({ folder, durable: false });
    await log.append(recordOf(0));
    await log.close();
    appendFileSync(join(folder, readdirSync(folder)[0] as string), Buffer.alloc(100, 7));
    const again = await RecordLog.open({ folder, durable: false });
    expect(await numbersFrom(again, 0)).toEqual([0]);
    await again.close();
  });

  it('ends before zeros, which a power cut may leave at the end of a file', async () => {
    const folder = temporary.make();
    const log = await RecordLog.open({ folder, durable: false });
    await log.append(recordOf(0));
    await log.close();
    appendFileSync(join(folder, readdirSync(folder)[0] as string), Buffer.alloc(4096));
    const again = await RecordLog.open({ folder, durable: false });
    expect(again.end).toBe(1);
    await again.append(recordOf(1));
    expect(await numbersFrom(again, 0)).toEqual([0, 1]);
    await again.close();
  });

  it('goes on at the offset of a checkpoint where its own end was lost', async () => {
    const folder = temporary.make();
    let log = await RecordLog.open({ folder, durable: false });
    for (const value of numbers(0, 3)) await log.append(recordOf(value));
    await log.close();
    for (let start = 0; start < 2; start += 1) {
      log = await RecordLog.open({ folder, durable: false, from: 10 });
      expect(log.end).toBe(10 + start);
      expect(await log.append(recordOf(10 + start))).toBe(10 + start);
      await log.close();
    }
    log = await RecordLog.open({ folder, durable: false, from: 10 });
    expect(await numbersFrom(log, 10)).toEqual([10, 11]);
    await log.trim(10);
    expect(readdirSync(folder)).toHaveLength(1);
    await log.close();
  });

  it('takes no record of which the disk takes only a part, and none after it', async () => {
    const folder = temporary.make();
    const log = await RecordLog.open({ folder, durable: true });
    await log.append(recordOf(0));
    const file = await open(folder, 'r');
    const writev = vi
      .spyOn(Object.getPrototypeOf(file), 'writev')
      .mockResolvedValueOnce({ bytesWritten: 3, buffers: [] });
    await file.close();
    await expect(log.append(recordOf(1))).rejects.toThrow('cannot be written: the disk took 3 of');
    writev.mockRestore();
    await expect(log.append(recordOf(2))).rejects.toThrow(BrokenLogError);
    expect(log.end).toBe(1);
    await log.close();
  });

  it('waits until a new file is in its folder on the disk before it says that a record is safe', async () => {
    const folder = join(temporary.make(), 'log', 'source');
    const synced: string[] = [];
    const file = await open('/', 'r');
    const prototype = Object.getPrototypeOf(file);
    const sync = prototype.sync;
    const spy = vi.spyOn(prototype, 'sync').mockImplementation(function (this: { fd: number }) {
      synced.push(readlinkSync(`/proc/self/fd/${this.fd}`));
      return sync.call(this);
    });
    await file.close();
    const log = await RecordLog.open({ folder, durable: true, segmentBytes: 1 });
    expect(synced).toEqual([dirname(folder), dirname(dirname(folder))]);
    for (const value of numbers(0, 2)) await log.append(recordOf(value));
    expect(synced.slice(2)).toEqual([folder, folder]);
    spy.mockRestore();
    await log.close();
  });

  it('says which record is spoilt in a file that others follow', async () => {
    const folder = temporary.make();
    const options = { folder, durable: false, segmentBytes: 300 };
    let log = await RecordLog.open(options);
    for (const value of numbers(0, 20)) await log.append(recordOf(value));
    await log.close();
    const file = join(folder, readdirSync(folder).sort()[0] as string);
    const bytes = readFileSync(file);
    bytes[20] = (bytes[20] as number) ^ 255;
    writeFileSync(file, bytes);
    log = await RecordLog.open(options);
    await expect(numbersFrom(log, 0)).rejects.toThrow(`${file} is spoilt at record 0`);
    await log.close();
  });

  it('deletes the files whose records are all before an offset, and keeps the others', async () => {
    const folder = temporary.make();
    const log = await RecordLog.open({ folder, durable: false, segmentBytes: 300 });
    for (const value of numbers(0, 40)) await log.append(recordOf(value));
    const before = readdirSync(folder).length;
    await log.trim(20);
    expect(readdirSync(folder).length).toBeLessThan(before);
    expect(await numbersFrom(log, 20)).toEqual(numbers(20, 40));
    await log.close();
  });
});

describe('the reader of a log', () => {
  it('takes a record that comes in the moment in which it finds no more', async () => {
    const records = [0, 1].map((offset) => ({ offset, key: 'k', values: {} }));
    let end = 1;
    let at = 0;
    const log = {
      cursor: () => ({
        next: async () => {
          if (at < end) return records[at++];
          // The cursor has looked, and its answer is on its way.
          if (end === 1) {
            end = 2;
            reader.wake();
          }
          return undefined;
        },
        close: async () => {},
      }),
    } as unknown as SourceLog;
    const taken: number[] = [];
    const fail = (error: unknown) => expect(error).toBeUndefined();
    const reader = new Reader(log, 0, ({ offset }) => taken.push(offset) > 0, fail);
    reader.wake();
    await expect.poll(() => taken).toEqual([0, 1]);
    await reader.close();
  });
});

describe('the checkpoints of an application', () => {
  it('are the latest one that was stored, and two of them stay', async () => {
    const folder = temporary.make();
    const store = new CheckpointStore<{ epoch: number; text: string }>(folder);
    expect(await store.latest()).toBeUndefined();
    for (const epoch of [0, 1, 2, 10]) await store.store({ epoch, text: `t${epoch}` });
    expect(await store.latest()).toEqual({ epoch: 10, text: 't10' });
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('say which file cannot be read, and what to do', async () => {
    const folder = temporary.make();
    const store = new CheckpointStore<{ epoch: number }>(folder);
    await store.store({ epoch: 1 });
    const file = join(folder, readdirSync(folder)[0] as string);
    writeFileSync(file, '');
    await expect(store.latest()).rejects.toThrow(`checkpoint ${file} cannot be read: `);
    await expect(store.latest()).rejects.toThrow('Bring it back from a copy, or begin anew');
  });

  it('are not replaced by a process that stores the same epoch', async () => {
    const folder = temporary.make();
    const store = () => new CheckpointStore<{ epoch: number; text: string }>(folder);
    await store().store({ epoch: 3, text: 'first' });
    await expect(store().store({ epoch: 3, text: 'second' })).rejects.toThrow(
      'another process runs this application: it has stored epoch 3',
    );
    expect(await store().latest()).toEqual({ epoch: 3, text: 'first' });
  });
});
