// The example of voices, with more that a test needs: versions that mark the records, and the truth.
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema } from 'onnx-buf';
import * as ort from 'onnxruntime-web/wasm';
import { onnxBytes } from '../../infer/lanes/models.js';
import { REPOSITORY } from '../../support/repository.js';
import type { Line } from './cluster.js';

ort.env.wasm.numThreads = 1;

const SAMPLES = 512;
/** The samples of the record before that the model needs. */
const TAIL = 64;
const EXAMPLE = join(REPOSITORY, 'examples/voices');

/** Each version of the application marks its records, and counts those of each key. */
const MARKS = `
const marked = (mark) => ({ probability, count }) => ({
  count: { data: Int32Array.of(count.data[0] + 1) },
  mark: { data: Int32Array.of(mark) },
});
${Array.from({ length: 13 }, (_, mark) => `export const mark${mark} = marked(${mark});`).join('\n')}
export function smooth({ probability, last }) {
  const data = Float32Array.of(Math.max(probability.data[0], last.data[0]));
  return { smoothed: { shape: [1, 1], data }, last: { shape: [1, 1], data: probability.data.slice() } };
}
export function loudness({ samples }) {
  return { loudness: { data: Float32Array.of(Math.sqrt(samples.data.reduce((sum, each) => sum + each * each, 0))) } };
}
`;

export interface Version {
  readonly mark: number;
  readonly threshold: keyof typeof THRESHOLDS;
  readonly model: 1 | 2;
  readonly isLoud: boolean;
  readonly isSmooth: boolean;
}

const THRESHOLDS = { decide: 0.5, decideClearly: 0.8 };
const ENDS = 0.35;
export const FIRST: Version = { mark: 0, threshold: 'decide', model: 1, isLoud: false, isSmooth: false };
export interface Heard {
  readonly probability: number;
  readonly mark: number;
  readonly count: number;
}

/** With the inputs and outputs of Silero, and eight times the loudest sample as the probability: one that a busy machine can run. */
export const LOUDEST = onnxBytes({
  inputs: [
    { name: 'input', type: 'FP32', shape: ['items', TAIL + SAMPLES] },
    { name: 'state', type: 'FP32', shape: [2, 'items', 128] },
    { name: 'sr', type: 'INT64', shape: [] },
  ],
  outputs: [
    { name: 'output', type: 'FP32', shape: ['items', 1] },
    { name: 'stateN', type: 'FP32', shape: [2, 'items', 128] },
  ],
  nodes: [
    { operator: 'ReduceMax', inputs: ['input'], outputs: ['peak'], attributes: { axes: [1], keepdims: 1 } },
    { operator: 'Mul', inputs: ['peak', 'eight'], outputs: ['output'] },
    { operator: 'Add', inputs: ['state', 'one'], outputs: ['stateN'] },
  ],
  weights: {
    one: { shape: [1], values: Float32Array.of(1) },
    eight: { shape: [1], values: Float32Array.of(8) },
  },
});

/** Models of two versions, whose files differ and whose results do not, and the sounds. */
export function makeExample(
  folder: string,
  { microphones, seconds, maxBatch }: Record<'microphones' | 'seconds' | 'maxBatch', number>,
  network: 'silero' | 'loudest',
): void {
  execFileSync(process.execPath, [join(EXAMPLE, 'make.mjs'), `${microphones}`, `${seconds}`, folder]);
  cpSync(join(EXAMPLE, 'voices.mjs'), join(folder, 'voices.mjs'));
  writeFileSync(join(folder, 'marks.mjs'), MARKS);
  const models = join(folder, 'models/silero');
  if (network === 'loudest') writeFileSync(join(models, '1/model.onnx'), LOUDEST);
  const model = fromBinary(ModelProtoSchema, readFileSync(join(models, '1/model.onnx')));
  mkdirSync(join(models, '2'));
  writeFileSync(
    join(models, '2/model.onnx'),
    toBinary(ModelProtoSchema, { ...model, docString: 'version 2' }),
  );
  // A model is tried in each size of batch when it is loaded.
  writeFileSync(join(models, 'config.yaml'), `maxBatch: ${maxBatch}\n`);
}

/** The example's file, with the steps of a version, and a sink that has each record. */
export function fileText(
  { mark, threshold, model, isLoud, isSmooth }: Version,
  pace: number | 'fast',
): string {
  const text = readFileSync(join(EXAMPLE, 'voices.yaml'), 'utf8')
    .replace('samples: 512', `samples: ${SAMPLES}, pace: ${pace}`)
    .replace('model: silero', `model: silero\n    version: ${model}`)
    .replace('voices.mjs#decide', `voices.mjs#${threshold}`)
    .replace('probability: detect.output', `probability: ${isSmooth ? 'smooth.smoothed' : 'detect.output'}`);
  const [steps = '', sinks = ''] = text.split('sinks:\n');
  const loud = '  loud: { function: marks.mjs#loudness, inputs: { samples: sound.samples } }\n';
  return `${steps}  mark:
    function: marks.mjs#mark${mark}
    inputs: { probability: detect.output }
    state: { count: "INT32[1]" }
${isLoud ? loud : ''}${isSmooth ? SMOOTH : ''}sinks:
${sinks}  heard:
    file: heard.jsonl
    values: { probability: detect.output, mark: mark.mark, count: mark.count }
${isLoud ? '  loud: { file: loud.jsonl, values: { loudness: loud.loudness } }\n' : ''}`;
}

const SMOOTH = `  smooth:
    function: marks.mjs#smooth
    inputs: { probability: detect.output }
    state: { last: "FP32[1,1]" }
`;

/** The events of a microphone, and the offsets of records whose loudness is told, by the probabilities and the versions. */
export function expected(heard: readonly Line<Heard>[], versions: readonly Version[]) {
  const events: string[] = [];
  const loud: number[] = [];
  let isSpeaking = false;
  let last: number | undefined;
  for (const { offset, values } of heard) {
    const { threshold, isLoud, isSmooth } = versions.find(({ mark }) => mark === values.mark) as Version;
    const probability = isSmooth ? Math.max(values.probability, last ?? 0) : values.probability;
    // A step that is taken out loses its state.
    last = isSmooth ? values.probability : undefined;
    const isNow: boolean = probability >= (isSpeaking ? ENDS : THRESHOLDS[threshold]);
    if (isNow !== isSpeaking) events.push(`${offset} ${isNow ? 'begins' : 'ends'}`);
    isSpeaking = isNow;
    if (isLoud) loud.push(offset);
  }
  return { events, loud };
}

/** The probabilities of a microphone's first records, by ONNX Runtime's own kernels. */
export async function probabilitiesOf(
  model: ort.InferenceSession,
  file: string,
  records: number,
): Promise<number[]> {
  const bytes = readFileSync(file).subarray(HEADER_BYTES);
  const sound = Float32Array.from(
    { length: SAMPLES * records },
    (_, at) => bytes.readInt16LE(2 * at) / 32768,
  );
  const sr = new ort.Tensor('int64', BigInt64Array.of(16_000n), []);
  let state = new ort.Tensor('float32', new Float32Array(2 * 128), [2, 1, 128]) as ort.Tensor;
  const probabilities: number[] = [];
  for (let record = 0; record < records; record += 1) {
    const framed = new Float32Array(TAIL + SAMPLES);
    if (record === 0) framed.set(sound.subarray(0, SAMPLES), TAIL);
    else framed.set(sound.subarray(record * SAMPLES - TAIL, (record + 1) * SAMPLES));
    const input = new ort.Tensor('float32', framed, [1, framed.length]);
    const { output, stateN } = await model.run({ input, state, sr });
    state = stateN as ort.Tensor;
    probabilities.push(Number((output as ort.Tensor).data[0]));
  }
  return probabilities;
}

const HEADER_BYTES = 44;
const SAMPLE_RATE = 16_000;

/** How the files of a folder play. */
export interface Playing {
  /** What a source of them says. */
  readonly pace: number;
  /** By file, the milliseconds from one record to the next. */
  readonly periods: ReadonlyMap<string, number>;
}

/**
 * Lets the files play so many records each second in the mean, and no more than so many in all. With a `spread` of 0.05 they
 * have rates from 0.95 to 1.05 of that, at equal distances. They begin in step: after ten records of each they play one
 * after the other. (With a spread of 0.3 they come back into step after ten more: silent for seconds, and then all at once.)
 */
export function setRates(
  folder: string,
  { perSecond, records, spread = 0 }: { perSecond: number; records: number; spread?: number },
): Playing {
  const [rate, length] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32LE(2 * SAMPLES * records);
  const names = readdirSync(folder);
  const periods = new Map<string, number>();
  const pace = (perSecond * SAMPLES) / SAMPLE_RATE;
  for (const [at, name] of names.entries()) {
    const part = 1 + spread * ((2 * at) / Math.max(1, names.length - 1) - 1);
    const samplesPerSecond = Math.round(SAMPLE_RATE * part);
    rate.writeUInt32LE(samplesPerSecond);
    const file = openSync(join(folder, name), 'r+');
    writeSync(file, rate, 0, 4, 24);
    writeSync(file, length, 0, 4, 40);
    closeSync(file);
    periods.set(name, (1000 * SAMPLES) / (samplesPerSecond * pace));
  }
  return { pace, periods };
}
