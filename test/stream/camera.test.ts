import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as Ort from 'onnxruntime-web';
import { PNG } from 'pngjs';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { runFarlight, startFarlight } from '../support/hosts/farlight-command.js';
import { until } from '../support/machine/processes.js';
import { REPOSITORY } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

/**
 * The long form (`npm run stream-camera`) runs MoveNet on a software GPU, which takes minutes, and looks at what it finds.
 * The short form has a GPU that computes nothing, so that only the pictures count.
 */
const IS_LONG = process.env.FARLIGHT_CAMERA === 'software';
/** Pictures each second. */
const RATE = IS_LONG ? 0.25 : 2;
/** The bound of the example that runs MoveNet alone. */
const MOST_DIFFERENCE = 0.002;

const temporary = folders();
afterAll(() => temporary.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

interface Line {
  readonly offset: number;
  readonly values: { readonly points: number[][]; readonly side: string };
}

const example = (path: string) => import(pathToFileURL(join(REPOSITORY, 'examples', path)).href);

describe('the example of a camera', () => {
  it(
    'cuts the frames at the upgrade: the old sink has each one, and the new sink those from the cut on',
    async () => {
      const folder = temporary.make();
      for (const part of ['camera', 'movenet', 'support', 'transformers']) {
        cpSync(join(REPOSITORY, 'examples', part), join(folder, part), {
          recursive: true,
          filter: (path) => !/\/(models|frames|camera\.state)$|\.jsonl$/.test(path),
        });
      }
      symlinkSync(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
      const here = (path: string) => join(folder, 'camera', path);
      const file = here('camera.yaml');
      execFileSync(process.execPath, [here('make.mjs')], { stdio: 'ignore' });
      const film = spawn(process.execPath, [here('film.mjs'), '1000', `${RATE}`], { stdio: 'ignore' });
      cleanups.push(() => film.kill('SIGKILL'));
      const adapter = IS_LONG ? 'software' : 'null';
      const { child, printed, done } = startFarlight([
        ...['stream', 'run', file, '--adapter', adapter, '--no-durable', '--listen', 'off', '--no-dashboard'],
      ]);
      cleanups.push(() => child.kill('SIGKILL'));
      const linesOf = (name: string): Line[] =>
        existsSync(here(name))
          ? readFileSync(here(name), 'utf8')
              .split('\n')
              .slice(0, -1)
              .map((line) => JSON.parse(line))
          : [];
      const offsets = (name: string) => linesOf(name).map(({ offset }) => offset);
      await until(() => offsets('points.jsonl').length > 3 || child.exitCode !== null);
      expect(child.exitCode, printed.stderr).toBeNull();

      writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/^ {2}# /gm, '  '));
      const before = offsets('points.jsonl').length;
      const upgraded = await runFarlight(['stream', 'upgrade', file]);
      expect(upgraded.stdout, upgraded.stderr).toContain('+ step side: added\n');
      expect(upgraded.stdout).toContain('  step movenet: kept\n');
      await until(() => offsets('sides.jsonl').length > 3);
      film.kill('SIGKILL');
      child.kill('SIGTERM');
      expect(await done, printed.stderr).toMatchObject({ code: 0 });

      const points = offsets('points.jsonl');
      const sides = offsets('sides.jsonl');
      const cut = sides[0] ?? 0;
      expect(points).toEqual(points.map((_, offset) => offset));
      expect(cut).toBeGreaterThanOrEqual(before);
      expect(sides).toEqual(points.slice(cut));
      if (IS_LONG) await expectFound(here, linesOf);
    },
    IS_LONG ? 1_800_000 : 120_000,
  );

  it('finds the points that the file of TensorFlow.js finds, in its ONNX file', async () => {
    const { moveNetOnnx } = await example('movenet/onnx.mjs');
    const { estimate, loadMoveNet, preparePhoto, samplePhoto } = await example('movenet/pose.mjs');
    const { points, read, side } = await example('camera/camera.mjs');
    const photo = samplePhoto();
    const truth: Float32Array = await estimate(await loadMoveNet(), preparePhoto(photo));
    const png = new PNG(photo);
    png.data.set(photo.data);
    const { pixels } = read({ data: { data: PNG.sync.write(png) } });
    const { InferenceSession, Tensor } = await import('onnxruntime-web');
    const session = await InferenceSession.create(await moveNetOnnx());
    const maps = await session.run({ pixels: new Tensor('float32', pixels.data, pixels.shape) });
    const found = points(maps);
    expect(differenceOf(truth, found.points.data)).toBeLessThan(MOST_DIFFERENCE);
    expect(side(found).side.data).toEqual(['left']);
    await session.release();
  }, 60_000);
});

/** The points and the side of each picture are those that ONNX Runtime's own kernels find. */
async function expectFound(here: (path: string) => string, linesOf: (name: string) => Line[]) {
  const { points, read, side } = await example('camera/camera.mjs');
  const { InferenceSession, Tensor } = await import('onnxruntime-web');
  const session = await InferenceSession.create(
    new Uint8Array(readFileSync(here('models/movenet/1/model.onnx'))),
  );
  const truth = async (offset: number) => {
    const data = readFileSync(here(`frames/door/${String(offset + 1).padStart(6, '0')}.jpg`));
    const { pixels } = read({ data: { data } });
    return points(
      (await session.run({
        pixels: new Tensor('float32', pixels.data, pixels.shape),
      })) as Ort.InferenceSession.OnnxValueMapType,
    );
  };
  const found = linesOf('points.jsonl');
  const sides = linesOf('sides.jsonl');
  let difference = 0;
  for (const { offset, values } of found) {
    const wanted = await truth(offset);
    difference = Math.max(difference, differenceOf(wanted.points.data, values.points.flat()));
    const told = sides.find((line) => line.offset === offset);
    if (told) expect([told.values.side]).toEqual(side(wanted).side.data);
  }
  await session.release();
  expect(difference).toBeLessThan(MOST_DIFFERENCE);
  // Somebody walks from one half of the picture to the other.
  console.log(
    `${found.length} pictures, ${sides.length} since the branch: ${sides.map(({ values }) => values.side).join(', ')}; difference ${difference.toExponential(1)}`,
  );
}

function differenceOf(truth: ArrayLike<number>, found: ArrayLike<number>): number {
  return Math.max(...Array.from(truth, (value, at) => Math.abs(value - (found[at] ?? Number.NaN))));
}
