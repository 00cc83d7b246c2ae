import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { basename, isAbsolute, join, relative, resolve } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { codeOf, FarlightError } from '../../proto/errors.js';
import type { Pool } from '../definition/pool-file.js';
import { INCOMING, type Replicated, replicate, type Source } from '../files/replicate.js';
import { journalsFolder } from '../journal/journal.js';

const OWN = '.farlight/commands';

/** Whether both sides of a pool can see one folder: a mount, or all of this machine. */
export function runsCommands({ files, engine }: Pick<Pool, 'files' | 'engine'>): boolean {
  return files !== undefined || engine.isHere;
}

/**
 * The folder in which the commands of a pool run, on whatever node. Where the pool names a mount it is a folder there,
 * into which files are copied. Where it names none, the nodes must be this machine.
 */
export class Workspace {
  readonly pool: Pool;
  /** Undefined where commands run in the program's own folder. */
  readonly shared: string | undefined;
  readonly #commands: string;

  /** @throws FarlightError BAD_OPTION where the nodes are other machines and the pool names no mount. */
  constructor(pool: Pool) {
    this.pool = pool;
    const { files, name, key } = pool;
    if (!runsCommands(pool)) {
      throw new FarlightError(
        'BAD_OPTION',
        `the pool ${name} names no files that both sides see, which commands need; name a mount in its file: files: { mount: /shared }`,
      );
    }
    this.shared = files && join(files.mount, name);
    this.#commands = this.shared ? join(this.shared, OWN) : join(journalsFolder(), key, 'commands');
  }

  /** The folder in which a command runs, for a program in the folder `from`. */
  folderFor(from: string): string {
    if (this.shared === undefined || isBelow(this.shared, from)) return from;
    return this.shared;
  }

  /**
   * Copies the files that the pool's file names, and these of a program, to the folder of commands.
   *
   * @throws FarlightError BAD_OPTION (rejects)
   */
  async replicate(inputs: readonly string[], from: string, signal?: AbortSignal): Promise<Replicated> {
    const { shared, pool } = this;
    for (const input of inputs) checkInput(resolve(from, input));
    if (shared === undefined) return { copied: 0, unchanged: 0, bytes: 0 };
    this.#checkMount();
    guarded(shared, () => makeFolder(shared, 0o700));
    const folder = relative(shared, this.folderFor(from));
    const sources = inputs.flatMap((input): Source[] => {
      const path = resolve(from, input);
      // Both sides see it already.
      if (pool.files && isBelow(pool.files.mount, path)) return [];
      return [{ from: path, to: join(folder, isBelow(from, path) ? relative(from, path) : basename(path)) }];
    });
    return replicate([...(pool.files?.sources ?? []), ...sources], shared, signal);
  }

  /** A mount that is not there now must not become a folder of this machine's own disk. */
  #checkMount(): void {
    const { files, name } = this.pool;
    if (!files || existsSync(files.mount)) return;
    const why = `there is no ${files.mount} here, which the pool ${name} names as its mount; mount it, or name another folder (files: { mount: … })`;
    throw new FarlightError('BAD_OPTION', why);
  }

  /** Makes a folder through which the two sides of one command meet. */
  newExchange(): string {
    const folder = join(this.#commands, randomBytes(8).toString('hex'));
    guarded(this.#commands, () => makeFolder(folder, 0o700));
    return folder;
  }

  /** Deletes the files that killed programs have left for their commands. */
  clear(): void {
    rmSync(this.#commands, { recursive: true, force: true });
    if (this.shared !== undefined) rmSync(join(this.shared, INCOMING), { recursive: true, force: true });
  }
}

/** Where both sides see it already, nothing is copied, and a command would only miss it. */
function checkInput(path: string): void {
  if (existsSync(path)) return;
  const why = `there is no ${path}; name a file or folder that the command reads with --input`;
  throw new FarlightError('BAD_OPTION', why);
}

function isBelow(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith('../') && !isAbsolute(way);
}

function guarded(folder: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    const why = `${folder} cannot be made (${codeOf(error)}); see that the pool's mount is there and that you may write there`;
    throw new FarlightError('BAD_OPTION', why, { cause: error });
  }
}
