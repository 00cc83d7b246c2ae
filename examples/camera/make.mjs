// Makes the folder of models, and the empty folder of the camera.
//
//   node make.mjs [folder]
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { moveNetOnnx } from '../movenet/onnx.mjs';

const folder = process.argv[2] ?? fileURLToPath(new URL('.', import.meta.url));
mkdirSync(join(folder, 'models/movenet/1'), { recursive: true });
mkdirSync(join(folder, 'frames/door'), { recursive: true });
writeFileSync(join(folder, 'models/movenet/1/model.onnx'), await moveNetOnnx());
// A model is tried in each size of batch when it starts, and one camera fills no larger one.
writeFileSync(join(folder, 'models/movenet/config.yaml'), 'maxBatch: 2\n');
