import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { recipeCommand, recipes } from '../support/newcomer/recipes.js';
import { Picture } from '../support/pages/pictures.js';
import { nodeLocally, nodeThroughFarlight, nodeWith } from '../support/programs/program.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'farlight-libraries-'));
let host: TestHost;

beforeAll(async () => {
  host = await testHost({ adapter: 'software' });
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

const MINUTES = 3 * 60_000;
/** The recipes by the npm package that each is for. */
const PACKAGES = new Map([
  ['npm webgpu', 'webgpu'],
  ['TensorFlow.js', '@tensorflow/tfjs'],
  ['ONNX Runtime Web', 'onnxruntime-web'],
  ['transformers.js', '@huggingface/transformers'],
  ['three.js', 'three'],
  ['TypeGPU', 'typegpu'],
  ['jax-js', '@jax-js/jax'],
  ['Babylon.js', '@babylonjs/core'],
  ['PlayCanvas', 'playcanvas'],
  ['PixiJS', 'pixi.js'],
]);
/** Recipes without a library. Their command runs in a test here. */
const OTHERS = ['A shader of your own', 'A canvas', 'A cache that stays on the GPU'];
/** Recipes that are only read: their result is too large or too slow for a test, or needs no program. */
const READ = [
  'A model that moves too much',
  'A dependency that imports webgpu',
  'Libraries that were tried by hand',
];

/** The versions in package-lock.json. */
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, { version: string }>;
};
const installed = (name: string) => lock.packages[`node_modules/${name}`]?.version;

describe('the recipes', () => {
  it.each([...PACKAGES])('the recipe for %s names the installed version', (library, name) => {
    expect(recipes.get(library)).toContain(`Version ${installed(name)}`);
  });

  it('the recipes have one command for each tested library, and no other', () => {
    const run = [...recipes.keys()].filter((name) => !READ.includes(name));
    expect(new Set(run)).toEqual(new Set([...OTHERS, ...PACKAGES.keys()]));
    for (const name of run) {
      if (name !== 'npm webgpu') expect(recipeCommand(name), name).not.toEqual([]);
      expect(recipes.get(name)?.split('```sh'), name).toHaveLength(2);
    }
  });

  it('the README lists the recipes with the installed versions', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const rows = [...readme.matchAll(/^\| (.+?) \| `(.+?)` \| (\S+) \|/gm)].map((row) => row.slice(1));
    expect(rows).toEqual([...PACKAGES].map(([library, name]) => [library, name, installed(name)]));
  });
});

describe('a program for npm webgpu', () => {
  const program = 'examples/one-line/triangle.mjs';

  it(
    'a program for npm webgpu draws the same picture with another import, pixel for pixel',
    async () => {
      const text = readFileSync(join(root, program), 'utf8');
      const changed = join(root, 'examples/one-line', `far-${process.pid}.mjs`);
      const [far, local] = [join(folder, 'far.png'), join(folder, 'near.png')];
      // As the sed command in the recipe does.
      expect(text.split("from 'webgpu'")).toHaveLength(2);
      writeFileSync(changed, text.replace("from 'webgpu'", "from 'farlight'"));
      try {
        const opened = host.counters.sessionsOpened;
        await nodeWith({ FARLIGHT_HOST: host.url }, [changed, '--out', far]);
        expect(host.counters.sessionsOpened).toBe(opened + 1);
      } finally {
        rmSync(changed);
      }
      await nodeLocally([program, '--out', local]);
      const picture = new Picture(readFileSync(far));
      expect(picture.differences(new Picture(readFileSync(local)))).toBe(0);
      // The background, and the middle of the triangle, where its colors meet.
      expect(picture.at(0, 0)).toEqual([26, 26, 26, 255]);
      for (const part of picture.at(128, 128)) expect(part).toBeGreaterThan(50);
    },
    MINUTES,
  );
});

describe.each([
  'A shader of your own',
  'TensorFlow.js',
  'ONNX Runtime Web',
  'transformers.js',
  'TypeGPU',
  'jax-js',
])('%s', (library) => {
  it(
    `${library} computes the results of the CPU, and the bits of local Dawn`,
    async () => {
      const opened = host.counters.sessionsOpened;
      const through = await nodeThroughFarlight(host.url, recipeCommand(library));
      expect(host.counters.sessionsOpened).toBe(opened + 1);
      const [, error] = /Largest difference from the CPU: (\S+)/.exec(through) ?? [];
      expect(Number(error)).toBeLessThan(1e-3);
      expect(through).toMatch(/sha256 [0-9a-f]{64}/);
      expect(through).toBe(await nodeLocally(recipeCommand(library)));
    },
    MINUTES,
  );
});

describe('a library that hides the options of its sessions', () => {
  it(
    'a library with hidden session options computes on the GPU with farlight/onnxruntime, with any device',
    async () => {
      const opened = host.counters.sessionsOpened;
      const node = ['node', '--liftoff-only', '--import', 'farlight/onnxruntime'];
      const command = [...node, 'test/e2e/programs/hidden-options.mjs'];
      const { stdout, stderr } = await runFarlight(['run', '--host', host.url, '--', ...command], {}, root);
      expect(stderr).not.toContain('used no GPU');
      expect(host.counters.sessionsOpened).toBe(opened + 1);
      const [first, ...others] = stdout.trim().split('\n');
      expect(first).toMatch(/^256 [0-9a-f]{64}$/);
      expect(others).toEqual([first, first, first]);
    },
    MINUTES,
  );
});

describe('a cache that stays on the GPU', () => {
  it(
    'a cache on the GPU does not cross the network at each step, and changes no bit of the results',
    async () => {
      const STEPS = 2;
      const program = [...recipeCommand('A cache that stays on the GPU'), '--steps', `${STEPS}`];
      const bytesWith = async (cache: string) => {
        const { bytesUp, bytesDown } = host.counters;
        const printed = await nodeThroughFarlight(host.url, [...program, '--cache', cache]);
        return { printed, moved: host.counters.bytesUp + host.counters.bytesDown - bytesUp - bytesDown };
      };
      const there = await bytesWith('gpu');
      const here = await bytesWith('cpu');
      expect(there.printed).toMatch(
        /Largest difference from the CPU: \S+e-[6-9]\nResult: sha256 [0-9a-f]{64}/,
      );
      expect(here.printed).toBe(there.printed);
      expect(await nodeLocally(program)).toBe(there.printed);
      // In each step 256 positions of 128 numbers, keys and values, go there and come back.
      expect(here.moved - there.moved).toBeGreaterThan(STEPS * 2 * 256 * 128 * 4 * 1.5);
    },
    MINUTES,
  );
});
