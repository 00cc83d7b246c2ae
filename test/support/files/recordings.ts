import { readFileSync } from 'node:fs';
import {
  RECORD,
  RecordingReader,
  type RecordingRecord,
  RecordingWriter,
} from '#farlight/client/observers/recording/recording-file.js';

/** Gives bytes as a file does. */
export function reading(bytes: Uint8Array): (length: number) => Uint8Array {
  let at = 0;
  return (length) => {
    const part = bytes.subarray(at, at + length);
    at += part.length;
    return part;
  };
}

export const readRecording = (path: string): RecordingReader =>
  new RecordingReader(reading(readFileSync(path)));

/** The file with its records as `change` gives them back; those of which it gives nothing are left out. */
export function rewritten(
  path: string,
  change: (record: RecordingRecord, index: number) => RecordingRecord | undefined,
): Uint8Array {
  const reader = readRecording(path);
  const parts: Uint8Array[] = [];
  const writer = new RecordingWriter(reader.header, (bytes) => parts.push(bytes));
  let index = 0;
  for (const record of reader.records()) {
    const changed = change(record, index++);
    if (changed) writer.add(changed.kind, changed.ms, changed.bytes);
  }
  writer.flush();
  return Buffer.concat(parts);
}

/** The file with one byte flipped of the longest answer that has these bytes in it, behind them at `offset`. */
export function flipped(path: string, marker: Uint8Array, offset: number): Uint8Array {
  let done = false;
  const bytes = rewritten(path, (record) => {
    const at = record.kind === RECORD.down && !done ? Buffer.from(record.bytes).indexOf(marker) : -1;
    if (at < 0) return record;
    done = true;
    const changed = record.bytes.slice();
    changed[at + offset] = (changed[at + offset] as number) ^ 1;
    return { ...record, bytes: changed };
  });
  if (!done) throw new Error('the recording has no such answer');
  return bytes;
}
