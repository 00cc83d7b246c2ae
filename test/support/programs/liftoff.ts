import { setFlagsFromString } from 'node:v8';

// ONNX Runtime's 20 MB of WebAssembly are compiled twice without it, and the second time takes minutes of processor.
setFlagsFromString('--liftoff-only');
