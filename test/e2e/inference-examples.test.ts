import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exampleCommands } from '../support/newcomer/inference-examples.js';
import { Newcomer } from '../support/newcomer/newcomer.js';
import { Picture } from '../support/pages/pictures.js';
import {
  BALLS,
  ballNetwork,
  ballVolume,
  bodyVolume,
  cut,
  drawScan,
  join as joinBlocks,
  LINES,
} from '../support/programs/inference-examples.mjs';

ort.env.wasm.numThreads = 1;
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
      expect(ready).toMatch(/^farlight infer ready: http:\S+\ndashboard: .+\n$/);
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

describe('the example that measures a scan', () => {
  it(
    'finds each segment that was drawn, with its volume and its place',
    async () => {
      const [, drawn, , measured = '', answer = ''] = await type('volume');
      expect(drawn?.split('\n')).toHaveLength(1 + BALLS.length + 1);
      const lines = measured.trim().split('\n');
      expect(lines).toHaveLength(1 + BALLS.length);
      const truth = [bodyVolume(), ...BALLS.map(ballVolume)];
      const segments = lines.map((line) => {
        const [, name, ml, ...centre] = /^(\w+) (\S+) ml at (\S+) (\S+) (\S+)$/.exec(line) ?? [];
        return { name, ml: Number(ml), centre: centre.map(Number) };
      });
      for (const [at, { name, ml, centre }] of segments.entries()) {
        const ball = BALLS[at - 1];
        expect(name).toBe(ball ? 'ball' : 'body');
        expect(Math.abs(ml / (truth[at] ?? 0) - 1)).toBeLessThan(0.03);
        for (const [axis, place] of (ball?.centre ?? []).entries()) {
          expect(Math.abs((centre[axis] ?? 0) - place)).toBeLessThan(0.3);
        }
      }
      const outputs = outputsOf(answer);
      expect(Object.keys(outputs)).toEqual(['class', 'ml']);
      expect(outputs.class?.data).toEqual([1, 2, 2, 2]);
      expect(outputs.ml?.data.map((ml) => ml.toFixed(2))).toEqual(segments.map(({ ml }) => ml.toFixed(2)));
    },
    MINUTES,
  );

  it('labels each voxel as the network does that sees the whole scan at once', async () => {
    const file = drawScan();
    const session = await ort.InferenceSession.create(ballNetwork());
    const scores = async (data: Float32Array, shape: readonly number[]) => {
      const { output } = await session.run({ input: new ort.Tensor('float32', data, shape) });
      return { shape: output?.dims ?? [], data: output?.data as Float32Array };
    };
    const { blocks, size } = cut({ scan: { data: file } });
    const { labels } = joinBlocks({ scores: await scores(blocks.data, blocks.shape), size });

    const voxels = new Int16Array(file.slice().buffer, 352);
    const most = voxels.reduce((most, each) => Math.max(most, each));
    const whole = await scores(
      Float32Array.from(voxels, (each) => each / most),
      [1, 1, ...size.data],
    );
    expect(labels.shape).toEqual([...size.data]);
    const classOf = (voxel: number) => {
      const all = [0, 1, 2].map((each) => whole.data[each * voxels.length + voxel] ?? 0);
      return all.indexOf(Math.max(...all));
    };
    expect(labels.data.findIndex((label, voxel) => label !== classOf(voxel))).toBe(-1);
  });
});
