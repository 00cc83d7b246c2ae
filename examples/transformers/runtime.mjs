// To be imported before transformers.js. On Node that library takes ONNX Runtime's native build, which knows nothing
// of `navigator.gpu`, unless there is another under this symbol: here it is ONNX Runtime Web.
import { readFile } from 'node:fs/promises';
import { ort } from '../support/onnx-runtime.mjs';

// Otherwise transformers.js has its WebAssembly fetched from a server on the internet.
ort.env.wasm.wasmPaths = new URL('./', import.meta.resolve('onnxruntime-web/webgpu')).href;

/** On Node transformers.js gives the path of a model's file, which ONNX Runtime Web would take for an address. */
const InferenceSession = {
  create: async (model, options) =>
    ort.InferenceSession.create(typeof model === 'string' ? await readFile(model) : model, options),
};

globalThis[Symbol.for('onnxruntime')] = { ...ort, InferenceSession };
