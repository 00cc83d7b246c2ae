// ONNX Runtime Web, set up for Node. Its heap is a SharedArrayBuffer however many threads it has.
import * as ort from 'onnxruntime-web/webgpu';

// With more than one thread it fetches the code of its workers from a file: URL, which Node does not fetch.
ort.env.wasm.numThreads = 1;

export { ort };
