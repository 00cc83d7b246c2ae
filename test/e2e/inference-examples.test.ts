import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exampleCommands } from '../support/newcomer/inference-examples.js';
import { Newcomer } from '../support/newcomer/newcomer.js';
import { Picture } from '../support/pages/pictures.js';
import { LINES } from '../support/programs/inference-examples.mjs';

const MINUTES = 10 * 60_000;
let newcomer: Newcomer;

beforeAll(async () => {
  newcomer = await Newcomer.arrive();
}, MINUTES);
afterAll(() => newcomer?.leave(), MINUTES);

/** Types the commands of an example, and resolves to what each printed. */
async function type(example: string): Promise<string[]> {
  const printed: string[] = [];
  for (const command of exampleCommands(example)) printed.push(await newcomer.type(command));
  return printed;
}

/** The outputs in an answer of the server, by their names. */
function outputsOf(answer: string): Record<string, { shape: number[]; data: number[] }> {
  const { outputs } = JSON.parse(answer) as { outputs: { name: string; shape: number[]; data: number[] }[] };
  return Object.fromEntries(outputs.map((output) => [output.name, output]));
}

describe('the example that reads a page', () => {
  it(
    'reads the text that was drawn, also upside down, and finds where it is',
    async () => {
      const [, , ready, read, answer = ''] = await type('ocr');
      const drawn = LINES.map(({ text }) => text);
      expect(ready).toMatch(/^farlight infer ready: http:\S+\n$/);
      expect(read).toBe(`${drawn.join('\n')}\n`);
      const { text, scores, boxes } = outputsOf(answer);
      expect(text?.data).toEqual(drawn);
      for (const score of scores?.data ?? []) expect(score).toBeGreaterThan(0.8);
      expect(boxes?.shape).toEqual([drawn.length, 4]);

      const picture = new Picture(readFileSync(join(newcomer.clone, 'boxes.png')));
      const page = new Picture(readFileSync(join(newcomer.clone, 'page.png')));
      for (const [at, { x, y, size, upsideDown = false }] of LINES.entries()) {
        const box = boxes?.data.slice(4 * at, 4 * at + 4) ?? [];
        const [left = 0, top = 0, right = 0, bottom = 0] = box;
        // The corner where the line begins lies in its box, near the corner of that.
        const inX = upsideDown ? right - x : x - left;
        const inY = upsideDown ? bottom - y : y - top;
        for (const inside of [inX, inY]) {
          expect(inside).toBeGreaterThan(0);
          expect(inside).toBeLessThan(size / 2);
        }
        expect(bottom - top).toBeLessThan(2 * size);
        const middle = Math.round((left + right) / 2);
        expect(page.at(middle, top)).toEqual([255, 255, 255, 255]);
        expect(picture.at(middle, top)).toEqual([220, 40, 40, 255]);
        expect(picture.at(middle, bottom)).toEqual([220, 40, 40, 255]);
      }
    },
    MINUTES,
  );
});
