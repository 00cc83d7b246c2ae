import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tensor } from '../../infer/service/tensor.js';
import { monotonicNow } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import type { SourceDefinition } from '../definition/definition.js';
import { UnfitRecordError } from '../log/record-log.js';
import { type Attempts, WHOLE } from './attempts.js';
import { type Feed, roomIn } from './source.js';

type WavDefinition = Extract<SourceDefinition, { kind: 'wav' }>;

/** How the samples of a WAV file lie in it (RIFF WAVE, 16-bit PCM or 32-bit float). */
interface WavFormat {
  readonly rate: number;
  readonly channels: number;
  readonly isFloat: boolean;
  /** Where the samples begin, and how many bytes they have. */
  readonly from: number;
  readonly bytes: number;
}

/** Plays the WAV files of a folder, all at once, each as a microphone would give it. The last record of a file is whole. */
export async function playWavs(
  { folder, samples, pace }: WavDefinition,
  feed: Feed,
  attempts: Attempts,
  signal: AbortSignal,
): Promise<void> {
  let names: string[] = [];
  const list = async () => {
    names = (await readdir(folder)).filter((name) => name.toLowerCase().endsWith('.wav')).sort();
  };
  await attempts.untilWell(WHOLE, list, signal);
  const positions = new Map(feed.positions);
  const playing = names.map((name) => {
    const ingest: Feed['ingest'] = async (record) => {
      const offset = await feed.ingest(record);
      positions.set(record.key, record.position);
      attempts.well(name);
      return offset;
    };
    const mine = { ...feed, positions, ingest };
    const act = () => play(join(folder, name), name, { samples, pace }, mine, signal);
    return attempts.untilWell(name, act, signal);
  });
  await Promise.all(playing);
}

async function play(
  path: string,
  key: string,
  { samples, pace }: Pick<WavDefinition, 'samples' | 'pace'>,
  feed: Feed,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(path, 'r');
  try {
    const { rate, channels, isFloat, from, bytes } = await readFormat(file, path);
    const frame = channels * (isFloat ? 4 : 2);
    const recordBytes = samples * frame;
    let at = Number(feed.positions.get(key) ?? 0);
    const dueOf = (samples: number) => (samples / (rate * (pace === 'fast' ? 1 : pace))) * 1000;
    const start = monotonicNow() - dueOf(at);
    while (!signal.aborted && at * frame + recordBytes <= bytes) {
      // A microphone gives a record when its last sample was heard.
      if (pace === 'fast') await roomIn(feed, signal);
      else await pause(start + dueOf(at + samples) - monotonicNow(), signal);
      if (signal.aborted) return;
      const { buffer, bytesRead } = await file.read(
        Buffer.alloc(recordBytes),
        0,
        recordBytes,
        from + at * frame,
      );
      if (bytesRead < recordBytes) return;
      at += samples;
      await feed.ingest({ key, values: { samples: samplesOf(buffer, channels, isFloat) }, position: at });
    }
  } finally {
    await file.close();
  }
}

/** The first channel, from -1 to 1. */
function samplesOf(bytes: Buffer, channels: number, isFloat: boolean): Tensor {
  const size = isFloat ? 4 : 2;
  const samples = new Float32Array(bytes.length / (channels * size));
  for (let at = 0; at < samples.length; at += 1) {
    const place = at * channels * size;
    samples[at] = isFloat ? bytes.readFloatLE(place) : bytes.readInt16LE(place) / 32768;
  }
  return {
    name: 'samples',
    datatype: 'FP32',
    shape: [1, samples.length],
    data: new Uint8Array(samples.buffer),
  };
}

/** @throws UnfitRecordError where it is no WAV file that can be played (rejects) */
async function readFormat(file: FileHandle, path: string): Promise<WavFormat> {
  const wrong = (why: string) => new UnfitRecordError(`${path} cannot be played: ${why}`);
  const head = Buffer.alloc(12);
  await file.read(head, 0, 12, 0);
  if (head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE')
    throw wrong('it is no WAV file');
  const { size } = await file.stat();
  let format: Omit<WavFormat, 'from' | 'bytes'> | undefined;
  for (let at = 12; at + 8 <= size; ) {
    const chunk = Buffer.alloc(8);
    await file.read(chunk, 0, 8, at);
    const kind = chunk.toString('latin1', 0, 4);
    const length = chunk.readUInt32LE(4);
    if (kind === 'fmt ') {
      const body = Buffer.alloc(16);
      await file.read(body, 0, 16, at + 8);
      const [code, channels] = [body.readUInt16LE(0), body.readUInt16LE(2)];
      const bits = body.readUInt16LE(14);
      const isFloat = code === 3 && bits === 32;
      if (!isFloat && !(code === 1 && bits === 16))
        throw wrong('its samples are neither integers of 16 bits nor floats of 32 bits');
      if (channels === 0) throw wrong('it has no channel');
      format = { rate: body.readUInt32LE(4), channels, isFloat };
      if (format.rate === 0) throw wrong('it has no sample rate');
    } else if (kind === 'data') {
      if (!format) throw wrong('its samples come before their format');
      return { ...format, from: at + 8, bytes: Math.min(length, size - at - 8) };
    }
    at += 8 + length + (length % 2);
  }
  throw wrong('it has no samples');
}
