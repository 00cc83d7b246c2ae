import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { RuntimeName } from '../../link/machine/runtime.js';

/** How to run a command so that its program gets Farlight's GPU. */
export interface Launch {
  command: string[];
  /** The program's runtime, as far as it can be seen. Node programs may be started in other ways, too. */
  runtime: RuntimeName | undefined;
  /** Why the program will not get it. */
  problem?: string;
}

/** Commands that run a program of a package, or download one for it. */
const PACKAGE_RUNNERS = ['npx', 'pnpx', 'bunx'];
const PACKAGE_MANAGERS = ['npm', 'pnpm', 'yarn'];
/** The commands of package managers that run a package's program. */
const EXEC = ['exec', 'x', 'dlx'];
/** The commands of package managers that run a script of package.json. */
const SCRIPTS = ['run', 'run-script', 'start', 'test'];
/** Deno's commands that run a program. They first load the module that `--preload` names (since Deno 2.4). */
const DENO_RUNS = ['run', 'test', 'bench', 'serve', 'eval', 'repl'];
/** Deno's commands that run no program. */
const DENO_OTHERS =
  /^(add|audit|bundle|cache|check|ci|clean|compile|completions|coverage|create|deploy|doc|fmt|help|info|init|install|jupyter|lint|lsp|outdated|pack|publish|remove|types|uninstall|update|upgrade|vendor|why)$/;

/**
 * Finds out whether a command is for Deno or Bun, which ignore NODE_OPTIONS. It also looks behind npx and
 * into scripts of package.json. BUN_OPTIONS tells Bun what to load first; Deno must be told in its command.
 *
 * @param register the module to load first, as a URL.
 * @param readScript reads a script of the package that the command runs in.
 */
export function launchOf(command: readonly string[], register: string, readScript = scriptHere): Launch {
  const at = runtimeAt(command);
  const runtime = runtimeOf(command[at]);
  if (runtime === 'Deno') return denoLaunch(command, at, register);
  if (runtime) return { command: [...command], runtime };
  const [manager, ...words] = [
    programOf(command[0]),
    ...command.slice(1).filter((word) => !word.startsWith('-')),
  ];
  const isScript = PACKAGE_MANAGERS.includes(manager) && SCRIPTS.includes(words[0] ?? '');
  const name = isScript && (words[0] === 'start' || words[0] === 'test' ? words[0] : words[1]);
  const inScript = name ? runtimesIn(readScript(name) ?? '') : [];
  if (inScript.includes('Deno')) return { command: [...command], runtime: 'Deno', problem: UNSEEN_DENO };
  return { command: [...command], runtime: inScript[0] };
}

const UNSEEN_DENO =
  'Deno must be told in its own command to load Farlight, and this command starts it in a script, where it has another GPU or none; ' +
  'give farlight run that command: farlight run -- deno run -A FILE';

function denoLaunch(command: readonly string[], at: number, register: string): Launch {
  const word = command[at + 1];
  if (word === 'task') return { command: [...command], runtime: 'Deno', problem: UNSEEN_DENO };
  if (word !== undefined && DENO_OTHERS.test(word)) return { command: [...command], runtime: undefined };
  // `deno FILE` and `deno` alone run a program, too.
  const before = word !== undefined && DENO_RUNS.includes(word) ? at + 2 : at + 1;
  const told = [...command.slice(0, before), `--preload=${register}`, ...command.slice(before)];
  return { command: told, runtime: 'Deno' };
}

/** The position of the word that may name a runtime. */
function runtimeAt(command: readonly string[]): number {
  const program = programOf(command[0]);
  const isManager = PACKAGE_MANAGERS.includes(program) || program === 'bun';
  const from = PACKAGE_RUNNERS.includes(program) ? 1 : isManager && EXEC.includes(command[1] ?? '') ? 2 : 0;
  // bunx runs Node programs with Node, unless told otherwise: look at the program that it names.
  if (from === 0 || command.includes('--bun')) return 0;
  const at = command.findIndex((word, index) => index >= from && !word.startsWith('-'));
  return at < 0 ? 0 : at;
}

function runtimesIn(script: string): RuntimeName[] {
  const starts = script.split(/&&|\|\|?|;/).map((part) => part.trim().split(/\s+/));
  const named = starts.map((words) => {
    // Variables may come before the command.
    const command = words.slice(words.findIndex((word) => !/^(\w+=.*|cross-env)$/.test(word)));
    return runtimeOf(command[runtimeAt(command)]);
  });
  return named.filter((each) => each !== undefined);
}

/** A program's name, without its folder, its version (`npx deno@2`) and the extension on Windows. */
function programOf(word = ''): string {
  return basename(word.replaceAll('\\', '/'))
    .replace(/\.(exe|cmd)$/i, '')
    .replace(/(?<=.)@.*$/, '');
}

function runtimeOf(word: string | undefined): RuntimeName | undefined {
  const program = programOf(word);
  if (program === 'deno') return 'Deno';
  return program === 'bun' || program === 'bunx' ? 'Bun' : undefined;
}

/** Reads a script of the nearest package.json. */
function scriptHere(name: string): string | undefined {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    try {
      const script: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).scripts?.[name];
      return typeof script === 'string' ? script : undefined;
    } catch {
      // There is none, or it cannot be read: the program's own tool reports that.
    }
    if (folder === dirname(folder)) return undefined;
  }
}
