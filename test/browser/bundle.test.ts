import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { BUNDLE } from '../support/pages/pages.js';
import { REPOSITORY } from '../support/repository.js';

const bundle = readFileSync(BUNDLE);
const text = bundle.toString();

/** The size that the README states, in KB of 1,000 bytes. */
const [, raw, packed] =
  /is one module of (\d+) KB, (\d+) KB as gzip/.exec(readFileSync(`${REPOSITORY}README.md`, 'utf8')) ?? [];

describe('the client for pages', () => {
  it('the bundle has the size that the README states, to 2%, and is smaller than 250 KB', () => {
    expect(Math.abs(bundle.length / 1000 / Number(raw) - 1)).toBeLessThan(0.02);
    expect(Math.abs(gzipSync(bundle, { level: 9 }).length / 1000 / Number(packed) - 1)).toBeLessThan(0.02);
    expect(bundle.length).toBeLessThan(250_000);
  });

  it('the bundle uses nothing of Node', () => {
    const modules = builtinModules.filter((name) => !name.startsWith('_')).join('|');
    const imported = new RegExp(`(from|import|require)\\s*\\(?\\s*["'](node:\\w+|${modules})["']`, 'g');
    expect(text.match(imported)).toBeNull();
    const globals =
      /\b(process|Buffer)\.(?=[a-z])|\bsetImmediate\(|\bcreateRequire\b|\b__dirname\b|@grpc|\bzlib\b/g;
    expect(text.match(globals)).toBeNull();
  });

  it('the exports of the bundle match its types, and it imports nothing', async () => {
    const { metafile } = await build({
      stdin: {
        contents: "import { install } from 'farlight/browser'; await install('wss://gpu.example');",
        resolveDir: REPOSITORY,
      },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      write: false,
      metafile: true,
    });
    expect(Object.keys(metafile.inputs).sort()).toEqual(['<stdin>', 'dist/browser/farlight.js']);
    expect(
      /export\{([^}]*)\}/
        .exec(text)?.[1]
        ?.match(/\w+(?=,|$)/g)
        ?.sort(),
    ).toEqual(
      [
        'FarlightError',
        'canvasContext',
        'close',
        'create',
        'globals',
        'gpuLines',
        'gpuMemory',
        'install',
        'stats',
      ].sort(),
    );
  });
});
