import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** The text of files that change their process for other files, or may end it. */
const TRACES: readonly RegExp[] = [
  // Processes and threads of its own.
  /\bnode:(child_process|cluster|worker_threads)\b/,
  // The process: its variables, signals, folder, output and end.
  /\bprocess\.(?!(pid|platform|arch|version|versions|hrtime|memoryUsage|cpuUsage|execPath|getuid|nextTick)\b)/,
  // Modules that the file replaces, also for files that load them later.
  /\bvi\.(mock|doMock|hoisted|stub\w+|useFakeTimers|spyOn|resetModules)\b/,
  /\bglobal(This)?\b[.[]/,
  /\bObject\.(assign|defineProperty)\(global/,
  // Dawn is a native addon, and may crash. The package itself looks at its process.
  /\b(from|import)\s*\(?\s*['"](webgpu|farlight)\b/,
  /\bgpu\/open-gpu\b/,
];

/** What a module of the package may do as soon as something calls it. */
const MAY_START = /\bnode:(child_process|cluster|worker_threads)\b|import\('webgpu'\)/;

/** What a module imports by path, or from the package. Types are gone when it runs. */
const MODULE = /^(?:import|export)\b(?! type\b)[^;'"]*['"]((?:\.|#farlight\/)[^'"]+)['"]/gm;
const LATER = /\bimport\(\s*['"](\.[^'"]+)['"]/g;

/** The test files below a folder, as paths with slashes. */
export function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((each) => {
    const path = `${folder}/${each.name}`;
    if (each.isDirectory()) return testFiles(path);
    return /\.(test|spec)\.ts$/.test(each.name) ? [path] : [];
  });
}

/**
 * Whether a test file gets a process of its own, by what is written in it, and in the modules of tests and of the package
 * that it imports. The others share a few: that saves a third of a second of a processor for each. `shared-process.ts`
 * fails a file that leaves something all the same.
 */
export function needsOwnProcess(file: string): boolean {
  const seen = new Set<string>();
  const open = [resolve(file)];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const { isTold, imports } = moduleAt(path);
    if (isTold) return true;
    open.push(...imports);
  }
  return false;
}

const ROOT = resolve('.');
const TESTS = join(ROOT, 'test/');

interface Module {
  /** Whether its text says that a process of its own is needed. */
  readonly isTold: boolean;
  readonly imports: readonly string[];
}

const modules = new Map<string, Module>();

function moduleAt(path: string): Module {
  const known = modules.get(path);
  if (known) return known;
  const text = read(path);
  const patterns = path.startsWith(TESTS) ? TRACES : [MAY_START];
  const names = [...text.matchAll(MODULE), ...text.matchAll(LATER)].map(([, name = '']) => name);
  const paths = names.map((name) =>
    name.startsWith('.') ? join(dirname(path), name) : join(ROOT, name.slice('#farlight'.length)),
  );
  const found = { isTold: patterns.some((each) => each.test(text)), imports: paths.filter(isSource) };
  modules.set(path, found);
  return found;
}

/** What the build has made of the modules is none. */
const isSource = (path: string) => !path.startsWith(join(ROOT, 'dist/'));

/** Modules in TypeScript are imported by the name that they have in JavaScript. */
function read(path: string): string {
  for (const file of [path.replace(/\.js$/, '.ts'), path]) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      // The other name, or a name in a text of the test.
    }
  }
  return '';
}
