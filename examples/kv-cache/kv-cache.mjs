// Decodes step by step on ONNX Runtime Web, as a language model does, and keeps the keys and values of all positions on
// the GPU: on the GPU, and then on its WebAssembly backend, and compares the two. There is nothing of Farlight in this
// program: it runs on whatever GPU `navigator.gpu` has, here or elsewhere.
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
/** How many positions the prompt had. */
const PROMPT = 256;
/** Of values within 1, in single precision. */
const TOLERANCE = 1e-4;

const model = decoderModel();
const gpu = await decode({
  executionProviders: ['webgpu'],
  // What is named here stays on the GPU when a step is done; what is not comes to the program.
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
    // ONNX Runtime frees no buffer of the GPU by itself that it has given out.
    keys.dispose();
    values.dispose();
    ({ keys, values } = after);
    x = after.y.data;
    outputs.push(...x);
  }
  await session.release();
  return Float32Array.from(outputs);
}
