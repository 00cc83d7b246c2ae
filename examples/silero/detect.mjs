import { ort } from '../support/onnx-runtime.mjs';

/** How many samples the model takes at a time, and how many earlier samples it needs again. */
const CHUNK = 512;
const CONTEXT = 64;

/**
 * The probability of speech in each chunk of `audio`, and the model's last state. The length of `audio` is a
 * multiple of 512 samples.
 */
export async function detectSpeech(session, audio, sampleRate) {
  const rate = new ort.Tensor('int64', BigInt64Array.of(BigInt(sampleRate)), []);
  const probabilities = new Float32Array(audio.length / CHUNK);
  let state = new ort.Tensor('float32', new Float32Array(2 * 128), [2, 1, 128]);
  for (let chunk = 0; chunk < probabilities.length; chunk++) {
    const samples = new Float32Array(CONTEXT + CHUNK);
    const start = chunk * CHUNK;
    samples.set(audio.subarray(Math.max(0, start - CONTEXT), start + CHUNK), chunk === 0 ? CONTEXT : 0);
    const input = new ort.Tensor('float32', samples, [1, samples.length]);
    const { output, stateN } = await session.run({ input, state, sr: rate });
    probabilities[chunk] = output.data[0];
    state = stateN;
  }
  return { probabilities, state };
}
