import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FunctionLane } from '#farlight/infer/lanes/functions/function-lane.js';
import type { Lane, LaneRun } from '#farlight/infer/lanes/lane.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';

let folder: string;
let lane: Lane;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-functions-'));
  lane = new FunctionLane({ name: 'f', limit: 20_000 });
});
afterEach(async () => {
  await lane.close();
  rmSync(folder, { recursive: true });
});

async function load(text: string, name = 'act', into = lane): Promise<void> {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, text);
  await into.load({ id: name, file, function: name });
}

const run = (inputs: LaneRun['inputs'], fetch: string[], on = lane) =>
  on.run({ model: 'act', inputs, parts: [1], keep: [], fetch });

function floats(name: string, shape: number[], values: number[]): Tensor {
  return { name, datatype: 'FP32', shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}
const numbers = ({ data }: Tensor) => [...new Float32Array((data as Uint8Array).slice().buffer)];

describe('a lane for functions', () => {
  it('gives a function its tensors, and stacks a list of tensors that it returns', async () => {
    await load(`
      export async function act({ page, boxes }, { signal }) {
        const images = Array.from({ length: boxes.shape[0] }, (_, row) => ({
          shape: [boxes.data[2 * row + 1] - boxes.data[2 * row]],
          data: page.data.slice(boxes.data[2 * row], boxes.data[2 * row + 1]),
        }));
        return { images, names: { data: ['größer', page.datatype] }, aborted: { data: Uint8Array.of(signal.aborted) } };
      }`);
    const page = floats('page', [6], [0, 1, 2, 3, 4, 5]);
    const boxes: Tensor = {
      name: 'boxes',
      datatype: 'INT32',
      shape: [3, 2],
      data: bytes(Int32Array.of(9, 9, 0, 2, 3, 5)),
    };
    const { outputs } = await run(
      { page: [{ value: page, from: 0, count: 6 }], boxes: [{ value: boxes, from: 1, count: 2 }] },
      ['images', 'names', 'aborted'],
    );
    const [images] = outputs.images as Tensor[];
    expect(images).toMatchObject({ name: 'images', datatype: 'FP32', shape: [2, 2] });
    expect(numbers(images as Tensor)).toEqual([0, 1, 3, 4]);
    const texts = ['größer', 'FP32'].map((text) => bytes(new TextEncoder().encode(text)));
    expect(outputs.names).toEqual([{ name: 'names', datatype: 'BYTES', shape: [2], data: texts }]);
    expect(outputs.aborted).toEqual([
      { name: 'aborted', datatype: 'UINT8', shape: [1], data: Uint8Array.of(0) },
    ]);
    expect(numbers(page)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it.each([
    ['throw new Error("no page")', 'no page (act.mjs:1:37)'],
    ['return 7', 'it returned 7; it has to return an object with y'],
    ['return {}', 'it returned no "y"'],
    ['return { y: [] }', '"y" is an empty list, which has no datatype and no shape: .*'],
    ['return { y: { data: 7 } }', '"y" has no data: .*'],
    ['return { y: { data: ["a"], datatype: "FP8" } }', '"y" has the datatype FP8; there are BOOL, .*'],
    [
      'return { y: { data: new Float32Array(3), shape: [2] } }',
      '"y" has the shape \\[2\\], 2 elements, and data of 3',
    ],
    [
      'return { y: { data: new Float32Array(3), shape: [1.5] } }',
      'the shape of "y" must be a list of whole numbers',
    ],
    ['return { y: { data: [1, 2] } }', 'an element of "y" is neither text nor a Uint8Array'],
    ['return { y: { data: ["a"], datatype: "FP32" } }', 'the data of "y" is a list, which FP32 has not'],
    [
      'return { y: [{ data: new Float32Array(1) }, { data: new Float32Array(2) }] }',
      'the tensors of "y" differ: FP32\\[1\\] and FP32\\[2\\]',
    ],
    ['process.exit(3)', 'Its worker ended.'],
    [
      'setTimeout(() => { throw new Error("late") }); await new Promise(() => {})',
      'Its worker failed: late.',
    ],
  ])('fails the run of a function that does: %s', async (body, message) => {
    await load(`export async function act() { ${body} }`);
    const error = await run({}, ['y']).catch((reason) => reason);
    expect(error.name).toBe('RunError');
    expect(error.message).toMatch(
      new RegExp(`It failed: ${message.replaceAll('(', '\\(').replaceAll(')', '\\)')}$`),
    );
    await load('export function act() { return { y: { data: Uint8Array.of(1) } } }');
    expect((await run({}, ['y'])).outputs.y).toMatchObject([{ data: Uint8Array.of(1) }]);
  });

  it('aborts a function at its limit, and ends one that goes on', async () => {
    const short = new FunctionLane({ name: 's', limit: 1500, grace: 200 });
    try {
      await load(
        'export const act = (_, { signal }) => new Promise((_, no) => (signal.onabort = () => no(signal.reason)))',
        'act',
        short,
      );
      await expect(run({}, ['y'], short)).rejects.toThrow('It failed: It takes longer than 1.5 s.');
      await load('export function act() { for (;;); }', 'act', short);
      await expect(run({}, ['y'], short)).rejects.toThrow('It failed: It took longer than 1.5 s.');
      await load('export function act() { return { y: { data: Uint8Array.of(1) } } }', 'act', short);
      expect((await run({}, ['y'], short)).outputs.y).toMatchObject([{ data: Uint8Array.of(1) }]);
    } finally {
      await short.close();
    }
  });

  it('a broken module is refused with the reason', async () => {
    await expect(load('export const act = 7')).rejects.toThrow(
      'act.mjs has no function "act" among its exports.',
    );
    await expect(load('export function {')).rejects.toThrow(/act\.mjs cannot be loaded: .*/);
    await expect(lane.load({ id: 'x', file: join(folder, 'none.mjs'), function: 'x' })).rejects.toThrow(
      /ENOENT/,
    );
    await expect(run({}, ['y'])).rejects.toThrow('Function "act" is not loaded on this lane.');
  });

  it('a module that was changed is loaded by no lane that is told what it was, nor read again by a new worker', async () => {
    const held = new FunctionLane({ name: 'held', holdsFiles: true });
    try {
      const file = join(folder, 'act.mjs');
      const model = { id: 'act', file, function: 'act' };
      const text =
        'export function act({ end }) { if (end) process.exit(); return { y: { data: Uint8Array.of(1) } } }';
      writeFileSync(file, text);
      const { version } = await held.load(model);
      await lane.load({ ...model, version });
      writeFileSync(file, text.replace('of(1)', 'of(22)'));
      await expect(lane.load({ ...model, version })).rejects.toThrow(
        /act\.mjs has changed since it was loaded/,
      );
      expect((await run({}, ['y'], held)).outputs.y).toMatchObject([{ data: Uint8Array.of(1) }]);
      const end = { end: [{ value: floats('end', [1], [1]), from: 0, count: 1 }] };
      await expect(run(end, ['y'], held)).rejects.toThrow('Its worker ended.');
      await expect(run({}, ['y'], held)).rejects.toMatchObject({ away: true });
      await held.load(model);
      expect((await run({}, ['y'], held)).outputs.y).toMatchObject([{ data: Uint8Array.of(22) }]);
    } finally {
      await held.close();
    }
  });

  it('a run of a function that cannot be loaded any more fails as away: its module is gone, or broken', async () => {
    const held = new FunctionLane({ name: 'held', holdsFiles: true });
    try {
      const file = join(folder, 'act.mjs');
      const text = 'export function act({ end }) { if (end) process.exit(); return {}; }';
      const end = { end: [{ value: floats('end', [1], [1]), from: 0, count: 1 }] };
      for (const each of [held, lane]) {
        await load(text, 'act', each);
        await expect(run(end, [], each)).rejects.toThrow('Its worker ended.');
      }
      writeFileSync(file, 'export function {');
      await expect(run({}, [], lane)).rejects.toMatchObject({
        away: true,
        message: expect.stringMatching(/act\.mjs cannot be loaded: /),
      });
      rmSync(file);
      await expect(run({}, [], held)).rejects.toMatchObject({
        away: true,
        message: expect.stringMatching(/act\.mjs cannot be read: ENOENT/),
      });
    } finally {
      await held.close();
    }
  });

  it('a run rejects when its lane is closed', async () => {
    await load('export function act() { return new Promise(() => setInterval(() => {}, 1000)) }');
    const running = run({}, ['y']);
    let lost: string | undefined;
    void lane.lost.then((reason) => (lost = reason));
    const rejected = running.catch((error) => ({ error, lost }));
    await lane.close();
    expect(await rejected).toMatchObject({ error: { name: 'LaneLostError' }, lost: 'The lane was closed.' });
    await expect(run({}, ['y'])).rejects.toThrow('The lane was closed.');
  });
});

function bytes(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}
