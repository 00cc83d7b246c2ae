import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PNG } from 'pngjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { runFarlight } from '../support/farlight-command.js';
import { nodeLocally, nodeThroughFarlight, nodeWith } from '../support/program.js';

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
/** A block of one line. */
const COMMAND = /^```sh\nfarlight run -- node (.+)\n```$/m;

/** docs/recipes.md, a library a section: what is run here is what it says. */
const recipes = new Map(
  readFileSync(join(root, 'docs/recipes.md'), 'utf8')
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
);

function command(library: string): string[] {
  const [, args] = COMMAND.exec(recipes.get(library) ?? '') ?? [];
  if (!args) throw new Error(`docs/recipes.md has no command for ${library}`);
  return args.split(' ');
}

/** The recipes by the npm package that each is for. */
const PACKAGES = new Map([
  ['npm webgpu', 'webgpu'],
  ['TensorFlow.js', '@tensorflow/tfjs'],
  ['ONNX Runtime Web', 'onnxruntime-web'],
  ['transformers.js', '@huggingface/transformers'],
  ['three.js', 'three'],
  ['TypeGPU', 'typegpu'],
  ['jax-js', '@jax-js/jax'],
]);

/** What package-lock.json has installed. */
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, { version: string }>;
};
const installed = (name: string) => lock.packages[`node_modules/${name}`]?.version;

describe('the recipes', () => {
  it.each([...PACKAGES])('%s: name the version that is installed', (library, name) => {
    expect(recipes.get(library)).toContain(`Version ${installed(name)}`);
  });

  it('have one command for each library that is tested here, and none beside', () => {
    expect([...recipes.keys()]).toEqual(['A shader of your own', ...PACKAGES.keys()]);
    for (const [library, text] of recipes) {
      if (library !== 'npm webgpu') expect(text).toMatch(COMMAND);
      expect(text.split('```'), library).toHaveLength(3);
    }
  });

  it("stand in the README's table, with the versions that are installed", () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const rows = [...readme.matchAll(/^\| (.+?) \| `(.+?)` \| (\S+) \|/gm)].map((row) => row.slice(1));
    expect(rows).toEqual([...PACKAGES].map(([library, name]) => [library, name, installed(name)]));
  });
});

describe('a program for npm webgpu', () => {
  const program = 'examples/one-line/triangle.mjs';

  it(
    'draws with another import the picture that it draws as it is, pixel for pixel',
    async () => {
      const text = readFileSync(join(root, program), 'utf8');
      const changed = join(root, 'examples/one-line', `far-${process.pid}.mjs`);
      const [far, local] = [join(folder, 'far.png'), join(folder, 'near.png')];
      // As the recipe's sed has it.
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
      const picture = PNG.sync.read(readFileSync(far));
      expect(differences(picture, PNG.sync.read(readFileSync(local)))).toBe(0);
      // Its background, and the triangle's middle, where its colours meet.
      const middle = (128 * picture.width + 128) * 4;
      expect([...picture.data.subarray(0, 4)]).toEqual([26, 26, 26, 255]);
      for (const part of picture.data.subarray(middle, middle + 3)) expect(part).toBeGreaterThan(50);
    },
    MINUTES,
  );
});

describe('three.js', () => {
  let through: PNG;
  let local: PNG;

  beforeAll(async () => {
    const opened = host.counters.sessionsOpened;
    through = await picture('farlight.png', (args) => nodeThroughFarlight(host.url, args));
    expect(host.counters.sessionsOpened).toBe(opened + 1);
    local = await picture('local.png', nodeLocally);
  }, MINUTES);

  async function picture(name: string, run: (args: string[]) => Promise<string>): Promise<PNG> {
    const file = join(folder, name);
    // The later of two flags counts.
    await run([...command('three.js'), '--out', file]);
    return PNG.sync.read(readFileSync(file));
  }

  it('renders the picture of local Dawn, pixel for pixel', () => {
    expect([through.width, through.height]).toEqual([local.width, local.height]);
    expect(differences(through, local)).toBe(0);
  });

  it('shows the sky, and a ball that is lit from one side, with the shine of the sun', () => {
    for (const [x, y] of [
      [10, 10],
      [630, 10],
      [320, 60],
    ] as const) {
      expect(colorAt(x, y)).toEqual([0, 43, 86, 255]);
    }
    const [lit] = colorAt(200, 180);
    const [unlit] = colorAt(100, 285);
    expect(lit).toBeGreaterThan(4 * unlit);
    expect(Math.min(...colorAt(172, 205))).toBeGreaterThan(170);
  });

  it('has the texture sharp where it is near, and blurred by its mipmaps where it is far', () => {
    const near = redsOf({ y: 460, from: 230, to: 410 });
    const far = redsOf({ y: 116, from: 230, to: 410 });
    expect(contrast(near)).toBeGreaterThan(150);
    expect(contrast(far)).toBeLessThan(contrast(near) / 2);
  });

  it('has the floor in the shadow of the ball on one side of it, and in the sun elsewhere', () => {
    const shadow = redsOf({ y: 300, from: 60, to: 108 });
    const sun = redsOf({ y: 300, from: 580, to: 640 });
    expect(Math.max(...sun)).toBeGreaterThan(2 * Math.max(...shadow));
    expect(Math.min(...sun)).toBeGreaterThan(2 * Math.min(...shadow));
  });

  it('has the lamp before the knot, and the floor seen through green glass', () => {
    const [red, green, blue] = colorAt(287, 244);
    expect(blue).toBeGreaterThan(green);
    expect(green).toBeGreaterThan(red);

    const glass = { y: 300, from: 330, to: 380 };
    expect(contrast(redsOf(glass))).toBeGreaterThan(60);
    for (let x = glass.from; x < glass.to; x++) {
      const [red, green] = colorAt(x, glass.y);
      expect(green).toBeGreaterThan(red);
    }
  });

  function colorAt(x: number, y: number): [red: number, green: number, blue: number, alpha: number] {
    const at = (y * through.width + x) * 4;
    const [red = 0, green = 0, blue = 0, alpha = 0] = through.data.subarray(at, at + 4);
    return [red, green, blue, alpha];
  }

  function redsOf({ y, from, to }: { y: number; from: number; to: number }): number[] {
    return Array.from({ length: to - from }, (_, i) => colorAt(from + i, y)[0]);
  }
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
    'computes what the CPU does, and the very bits that local Dawn does',
    async () => {
      const opened = host.counters.sessionsOpened;
      const through = await nodeThroughFarlight(host.url, command(library));
      expect(host.counters.sessionsOpened).toBe(opened + 1);
      const [, error] = /Largest difference from the CPU: (\S+)/.exec(through) ?? [];
      expect(Number(error)).toBeLessThan(1e-3);
      expect(through).toMatch(/sha256 [0-9a-f]{64}/);
      expect(through).toBe(await nodeLocally(command(library)));
    },
    MINUTES,
  );
});

describe('a library that hides the options of its sessions', () => {
  it(
    'computes on the GPU with farlight/onnxruntime, whichever device it passes on, or none',
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

function contrast(values: number[]): number {
  return Math.max(...values) - Math.min(...values);
}

/** How many pixels differ. */
function differences(a: PNG, b: PNG): number {
  let count = 0;
  for (let at = 0; at < a.data.length; at += 4) {
    if (a.data.compare(b.data, at, at + 4, at, at + 4) !== 0) count++;
  }
  return count;
}
