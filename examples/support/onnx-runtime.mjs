// ONNX Runtime Web, set up for Node. Its heap is always a SharedArrayBuffer, with any number of threads.
import * as ort from 'onnxruntime-web/webgpu';

// With more than one thread it fetches its workers' code from a file: URL, and Node fetches none.
ort.env.wasm.numThreads = 1;

export { ort };
