import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { outputOf } from '../support/hosts/farlight-command.js';

/** How one spec ended in a process of its own runtime. */
export interface SpecResult {
  name: string;
  skipped?: string;
  failure?: string;
  /** What it observed, as text: equal in each runtime. */
  seen?: string;
}

export interface Runtime {
  readonly name: 'Node' | 'Bun' | 'Deno';
  /** The program and the arguments in front of a file, or undefined where it is not installed. */
  readonly command: readonly string[] | undefined;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const CONFORMANCE = join(root, 'test/conformance');
const require = createRequire(import.meta.url);

/** The least bytes of a runtime. What a package has in its place before its install script ran is shorter. */
const RUNTIME_BYTES = 1 << 20;

/**
 * npm installs the one binary that fits the system, in a package of its own. Where install scripts run, Bun's moves it
 * into its main package.
 */
function binary(wrapper: string, packageName: string, file: string, moved: string): string | undefined {
  const main = packageFolder(require, wrapper);
  const own = main && packageFolder(createRequire(join(main, 'package.json')), packageName);
  const places = [own && join(own, file), main && join(main, moved)];
  return places.find((place) => place && existsSync(place) && statSync(place).size > RUNTIME_BYTES);
}

function packageFolder(from: NodeJS.Require, name: string): string | undefined {
  try {
    return join(from.resolve(`${name}/package.json`), '..');
  } catch {
    return undefined;
  }
}

const platform = process.platform === 'win32' ? 'windows' : process.platform;
const bun = binary(
  'bun',
  `@oven/bun-${platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`,
  'bin/bun',
  'bin/bun.exe',
);
const libc = process.platform === 'linux' ? '-glibc' : '';
const deno = binary('deno', `@deno/${process.platform}-${process.arch}${libc}`, 'deno', 'deno');

export const NODE: Runtime = { name: 'Node', command: [process.execPath] };
export const BUN: Runtime = { name: 'Bun', command: bun ? [bun] : undefined };
export const DENO: Runtime = {
  name: 'Deno',
  command: deno ? [deno, 'run', '--allow-all', '--no-prompt'] : undefined,
};

/** The names of all specs of the conformance suite, but the one that reads the files of the others. */
export function allSpecs(): string[] {
  const files = readdirSync(CONFORMANCE).filter((name) => name.endsWith('.spec.ts'));
  return files.map((name) => name.replace('.spec.ts', '')).filter((name) => name !== 'deviations');
}

/** Makes one module of specs, which any runtime runs: `expect` is Vitest's, and the client is the built package. */
export async function bundleSpecs(names: readonly string[], outfile: string): Promise<void> {
  const imports = names.map((name) => `import ${JSON.stringify(`./${name}.spec.ts`)};`);
  const contents = [...imports, "import { runSpecs } from 'vitest';", 'await runSpecs();'].join('\n');
  await build({
    stdin: { contents, resolveDir: CONFORMANCE, loader: 'ts' },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    keepNames: true,
    logLevel: 'warning',
    plugins: [elsewhere],
  });
}

const elsewhere: Plugin = {
  name: 'specs-elsewhere',
  setup({ onResolve }) {
    const own = (name: string) => join(root, 'test/runtime/specs', `${name}.ts`);
    onResolve({ filter: /^vitest$/ }, () => ({ path: own('vitest') }));
    onResolve({ filter: /\/support\/gpus\/targets\.js$/ }, () => ({ path: own('targets') }));
    // The package itself is not bundled: it finds its thread's program and its .proto beside it.
    onResolve({ filter: /^#farlight\// }, ({ path }) => ({
      path: pathToFileURL(join(root, 'dist', path.slice('#farlight/'.length))).href,
      external: true,
    }));
    // Vitest's own, of the version that it has.
    onResolve({ filter: /^(@vitest\/expect|chai)$/ }, ({ path }) => ({
      path: fileURLToPath(import.meta.resolve(path)),
    }));
  },
};

/** Runs a bundle of specs in a runtime, on the host at this address. Rejects where it does not come to its end. */
export async function runBundle(
  { name, command }: Runtime,
  bundle: string,
  host: string,
): Promise<SpecResult[]> {
  const [program, ...args] = command ?? [];
  if (program === undefined) throw new Error(`${name} is not installed`);
  const child = spawn(program, [...args, bundle], {
    cwd: root,
    env: { ...process.env, FARLIGHT_HOST: host },
  });
  const { code, stdout, stderr } = await outputOf(child).done;
  if (code !== 0)
    throw new Error(`${name} ended with ${code}:\n${stdout.slice(-2000)}\n${stderr.slice(-4000)}`);
  const lines = stdout.split('\n').filter((line) => line.startsWith('{"name"'));
  return lines.map((line) => JSON.parse(line));
}
