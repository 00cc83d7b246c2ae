import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  ParkedFileWriter,
  type ParkedRecord,
  readParkedFile,
} from '#farlight/server/executor/park/parked-file.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterEach(() => temporary.remove());

const KEY = randomBytes(32);
const SECRET = 'the weights of a model';

async function written(key = KEY): Promise<string> {
  const path = join(temporary.make(), 'session');
  const file = await ParkedFileWriter.create(path, key, 1 << 20);
  await file.write({ id: 1 }, Buffer.from(SECRET));
  await file.write({ id: 2 }, randomBytes(70_000));
  await file.end();
  return path;
}

async function read(path: string, key: Uint8Array = KEY): Promise<ParkedRecord[]> {
  const records: ParkedRecord[] = [];
  for await (const record of readParkedFile(path, key)) records.push(record);
  return records;
}

describe("a parked session's file", () => {
  it('gives back what was written', async () => {
    const [first, second] = await read(await written());
    expect(first?.value).toEqual({ id: 1 });
    expect(Buffer.from(first?.bytes ?? []).toString()).toBe(SECRET);
    expect(second?.bytes).toHaveLength(70_000);
  });

  it('shows nothing of its contents', async () => {
    expect(readFileSync(await written()).includes(SECRET)).toBe(false);
  });

  it('is not read with another key', async () => {
    const path = await written();
    await expect(read(path, randomBytes(32))).rejects.toThrow('damaged, or belongs to another');
  });

  it('is not read where a byte was changed, wherever that is', async () => {
    const path = await written();
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += 997) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] as number) ^ 1;
      writeFileSync(path, changed);
      await expect(read(path), `byte ${at}`).rejects.toThrow(/damaged|incomplete/);
    }
  });

  it('is not read where its end is missing, even between two records', async () => {
    const path = await written();
    const whole = readFileSync(path);
    const first = 4 + whole.readUInt32LE() + 16;
    for (const length of [0, 3, first, first + 4, whole.length - 1]) {
      writeFileSync(path, whole.subarray(0, length));
      await expect(read(path), `${length} bytes`).rejects.toThrow('incomplete');
    }
  });

  it('is not read where two records have changed places', async () => {
    const path = await written();
    const whole = readFileSync(path);
    const first = 4 + whole.readUInt32LE() + 16;
    const second = first + 4 + whole.readUInt32LE(first) + 16;
    writeFileSync(
      path,
      Buffer.concat([whole.subarray(first, second), whole.subarray(0, first), whole.subarray(second)]),
    );
    await expect(read(path)).rejects.toThrow('damaged');
  });

  it('takes no more bytes than it may, and is gone when it is abandoned', async () => {
    const path = join(temporary.make(), 'session');
    const file = await ParkedFileWriter.create(path, KEY, 1000);
    await file.write({}, new Uint8Array(500));
    await expect(file.write({}, new Uint8Array(500))).rejects.toThrow(
      '1000 bytes that are left for parked sessions',
    );
    await file.abandon();
    expect(existsSync(path)).toBe(false);
  });
});
