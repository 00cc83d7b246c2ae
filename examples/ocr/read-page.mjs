// Has a server read a page, prints its lines, and draws the page with their boxes:
//
//   node read-page.mjs page.png boxes.png [http://127.0.0.1:8000]
import { readFileSync } from 'node:fs';
import { decodeImage, writePng } from '../support/image.mjs';
import { drawBox } from '../support/lines.mjs';

const [file, picture, server = 'http://127.0.0.1:8000'] = process.argv.slice(2);
const page = readFileSync(file);
const input = { name: 'page', datatype: 'UINT8', shape: [page.length] };
const head = JSON.stringify({ inputs: [{ ...input, parameters: { binary_data_size: page.length } }] });
const answer = await fetch(`${server}/v2/models/ocr/infer`, {
  method: 'POST',
  headers: { 'Inference-Header-Content-Length': `${head.length}` },
  body: Buffer.concat([Buffer.from(head), page]),
});
const { outputs, error } = await answer.json();
if (error) throw new Error(error);
const { text, boxes } = Object.fromEntries(outputs.map(({ name, data }) => [name, data]));
console.log(text.join('\n'));
const image = decodeImage(page);
for (let at = 0; at < boxes.length; at += 4) drawBox(image, boxes.slice(at, at + 4));
writePng(picture, image);
