// Has a server segment a scan, and prints what it found:
//
//   node measure-scan.mjs scan.nii [http://127.0.0.1:8000]
import { readFileSync } from 'node:fs';

const CLASSES = ['air', 'body', 'ball'];
const [file, server = 'http://127.0.0.1:8000'] = process.argv.slice(2);
const scan = readFileSync(file);
const input = { name: 'scan', datatype: 'UINT8', shape: [scan.length] };
const inputs = [{ ...input, parameters: { binary_data_size: scan.length } }];
const head = JSON.stringify({ inputs, outputs: [{ name: 'class' }, { name: 'ml' }, { name: 'centre' }] });
const answer = await fetch(`${server}/v2/models/volume/infer`, {
  method: 'POST',
  headers: { 'Inference-Header-Content-Length': `${head.length}` },
  body: Buffer.concat([Buffer.from(head), scan]),
});
const { outputs, error } = await answer.json();
if (error) throw new Error(error);
const [classes, ml, centres] = outputs.map(({ data }) => data);
for (const [at, each] of classes.entries()) {
  const centre = centres.slice(3 * at, 3 * at + 3).map((place) => place.toFixed(1));
  console.log(`${CLASSES[each] ?? each} ${ml[at].toFixed(2)} ml at ${centre.join(' ')}`);
}
