// Makes the folder that `farlight infer --models` serves: the network, and the graph.
//
//   node make-models.mjs models
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ballNetwork } from './network.mjs';

const [folder = 'models'] = process.argv.slice(2);
const model = join(folder, 'segment/1');
mkdirSync(model, { recursive: true });
writeFileSync(join(model, 'model.onnx'), ballNetwork());
const graph = join(folder, 'volume');
rmSync(graph, { force: true });
symlinkSync(fileURLToPath(new URL('./graph', import.meta.url)), graph);
