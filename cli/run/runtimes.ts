import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { RuntimeName } from '../../link/machine/runtime.js';

/** How a command is run so that its program has Farlight's GPU. */
export interface Launch {
  command: string[];
  /** What runs the program, as far as that can be seen. A program of Node's may still be started by something else. */
  runtime: RuntimeName | undefined;
  /** Why the program will not have it. */
  problem?: string;
}

/** What runs a package's program, or one that is downloaded for it. */
const PACKAGE_RUNNERS = ['npx', 'pnpx', 'bunx'];
const PACKAGE_MANAGERS = ['npm', 'pnpm', 'yarn'];
/** The commands of package managers that run a package's program, and those that run a script of package.json. */
const EXEC = ['exec', 'x', 'dlx'];
const SCRIPTS = ['run', 'run-script', 'start', 'test'];
/** Deno's commands that run a program. They load first what `--preload` names (since Deno 2.4). */
const DENO_RUNS = ['run', 'test', 'bench', 'serve', 'eval', 'repl'];
/** Deno's commands that run none. */
const DENO_OTHERS =
  /^(add|audit|bundle|cache|check|ci|clean|compile|completions|coverage|create|deploy|doc|fmt|help|info|init|install|jupyter|lint|lsp|outdated|pack|publish|remove|types|uninstall|update|upgrade|vendor|why)$/;

/**
 * Finds out whether a command is for Deno or Bun, which do not take NODE_OPTIONS, also behind npx and in a script of
 * package.json. Bun is told in BUN_OPTIONS what to load first; Deno has to be told in the command.
 *
 * @param register the module to load first, as a URL.
 * @param readScript finds a script of the package that the command is run in.
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
  'Deno is told by its own command what to load first, and this one starts it in a script, where it has another GPU or none; ' +
  'give farlight run that command: farlight run -- deno run -A FILE';

function denoLaunch(command: readonly string[], at: number, register: string): Launch {
  const word = command[at + 1];
  if (word === 'task') return { command: [...command], runtime: 'Deno', problem: UNSEEN_DENO };
  if (word !== undefined && DENO_OTHERS.test(word)) return { command: [...command], runtime: undefined };
  // `deno FILE` and `deno` alone run as well.
  const before = word !== undefined && DENO_RUNS.includes(word) ? at + 2 : at + 1;
  const told = [...command.slice(0, before), `--preload=${register}`, ...command.slice(before)];
  return { command: told, runtime: 'Deno' };
}

/** Where the word is that a runtime would be named by. */
function runtimeAt(command: readonly string[]): number {
  const program = programOf(command[0]);
  const isManager = PACKAGE_MANAGERS.includes(program) || program === 'bun';
  const from = PACKAGE_RUNNERS.includes(program) ? 1 : isManager && EXEC.includes(command[1] ?? '') ? 2 : 0;
  // bunx runs programs of Node's with Node, unless it is told otherwise: what it names counts.
  if (from === 0 || command.includes('--bun')) return 0;
  const at = command.findIndex((word, index) => index >= from && !word.startsWith('-'));
  return at < 0 ? 0 : at;
}

function runtimesIn(script: string): RuntimeName[] {
  const starts = script.split(/&&|\|\|?|;/).map((part) => part.trim().split(/\s+/));
  const named = starts.map((words) => {
    // Variables may stand before the command.
    const command = words.slice(words.findIndex((word) => !/^(\w+=.*|cross-env)$/.test(word)));
    return runtimeOf(command[runtimeAt(command)]);
  });
  return named.filter((each) => each !== undefined);
}

/** A program's name, without its folder, its version (`npx deno@2`) and what Windows adds. */
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

/** A script of the nearest package.json. */
function scriptHere(name: string): string | undefined {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    try {
      const script: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).scripts?.[name];
      return typeof script === 'string' ? script : undefined;
    } catch {
      // None here, or none that can be read: the program's own tool says so.
    }
    if (folder === dirname(folder)) return undefined;
  }
}
