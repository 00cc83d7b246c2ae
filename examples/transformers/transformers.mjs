// Turns sentences into vectors with transformers.js on the GPU and then on its WebAssembly backend, and
// compares both. The model is made here, so that nothing is downloaded. This program has no code for
// Farlight: it runs on any GPU that `navigator.gpu` has, here or elsewhere.
//
// On Node, transformers.js loads ONNX Runtime's native build, which uses this machine's GPU.
// `farlight/onnxruntime` replaces it with ONNX Runtime Web, which uses `navigator.gpu`.
//
//   farlight run -- node --liftoff-only --import farlight/onnxruntime transformers.mjs
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, pipeline } from '@huggingface/transformers';
import { reportDifference } from '../support/compare.mjs';
import { writeTinyModel } from './tiny-model.mjs';

const SENTENCES = ['A GPU that is somewhere else', 'A GPU that is here', 'The weather is nice today'];
/** In single precision, since both sum in different orders. */
const TOLERANCE = 1e-4;

const models = mkdtempSync(join(tmpdir(), 'tiny-model-'));
try {
  writeTinyModel(join(models, 'tiny'), [...new Set(SENTENCES.join(' ').toLowerCase().split(' '))]);
  env.allowRemoteModels = false;
  env.localModelPath = models;

  const gpu = await vectorsOn({ device: 'webgpu' });
  const cpu = await vectorsOn({ session_options: { executionProviders: ['wasm'] } });
  for (const other of [1, 2]) {
    console.log(`'${SENTENCES[0]}' and '${SENTENCES[other]}': ${similarity(gpu, 0, other).toFixed(4)}`);
  }
  reportDifference(gpu.data, cpu.data, TOLERANCE);
} finally {
  rmSync(models, { recursive: true });
}

async function vectorsOn(where) {
  const extract = await pipeline('feature-extraction', 'tiny', { dtype: 'fp32', ...where });
  const vectors = await extract(SENTENCES, { pooling: 'mean', normalize: true });
  await extract.dispose();
  return vectors;
}

/** The cosine of two vectors of length 1. */
function similarity({ data, dims: [, length] }, a, b) {
  const [first, second] = [a, b].map((at) => data.subarray(at * length, (at + 1) * length));
  return first.reduce((sum, value, at) => sum + value * second[at], 0);
}
