// Decodes step by step on ONNX Runtime Web, as a language model does, and keeps the keys and values of all
// positions on the GPU. It runs on the GPU and then on the WebAssembly backend, and compares both. This
// program has no code for Farlight: it runs on any GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run --stats -- node --liftoff-only kv-cache.mjs [--cache gpu|cpu] [--steps N]
import { parseArgs } from 'node:util';
import { reportDifference } from '../support/compare.mjs';
import { ort } from '../support/onnx-runtime.mjs';
import { randomArray } from '../support/random.mjs';
import { decoderModel, HIDDEN } from './decoder.mjs';

const { values: flags } = parseArgs({
  options: { cache: { type: 'string', default: 'gpu' }, steps: { type: 'string', default: '16' } },
});
/** The number of positions in the prompt. */
const PROMPT = 256;
/** For values within 1, in single precision. */
const TOLERANCE = 1e-4;

const model = decoderModel();
const gpu = await decode({
  executionProviders: ['webgpu'],
  // Outputs that are named here stay on the GPU after a step; all others come to the program.
  ...(flags.cache === 'gpu' && { preferredOutputLocation: { keys: 'gpu-buffer', values: 'gpu-buffer' } }),
});
const cpu = await decode({ executionProviders: ['wasm'] });
reportDifference(gpu, cpu, TOLERANCE);

async function decode(options) {
  const session = await ort.InferenceSession.create(model, options);
  const rows = (count, data) => new ort.Tensor('float32', data, [1, count, HIDDEN]);
  let keys = rows(PROMPT, randomArray(PROMPT * HIDDEN, 11));
  let values = rows(PROMPT, randomArray(PROMPT * HIDDEN, 12));
  let x = randomArray(HIDDEN, 13);
  const outputs = [];
  for (let step = 0; step < Number(flags.steps); step++) {
    const after = await session.run({ x: rows(1, x), past_keys: keys, past_values: values });
    // ONNX Runtime never frees a GPU buffer that it has given out.
    keys.dispose();
    values.dispose();
    ({ keys, values } = after);
    x = after.y.data;
    outputs.push(...x);
  }
  await session.release();
  return Float32Array.from(outputs);
}
