import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join, posix, relative, sep } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { makeFolder } from '../../link/files/make-folder.js';
import { type Broker, insist } from '../broker/broker.js';
import type { Definition, FunctionDefinition } from '../definition/definition.js';

/** A version as the broker has it: the files in it are named from the folder of a worker. */
interface StoredVersion {
  readonly definition: Definition;
  /** By the name of a file there, the object with its bytes. */
  readonly files: Readonly<Record<string, string>>;
}

/** Versions of an application at the broker, with the files of their functions and models. */
export class Versions {
  readonly #broker: Broker;
  /** The files of versions on this machine. Functions find packages from here. */
  readonly #folder: string;
  readonly #isOver: () => boolean;
  readonly #known = new Map<string, Promise<Definition>>();

  constructor(broker: Broker, folder: string, isOver: () => boolean) {
    this.#broker = broker;
    this.#folder = folder;
    this.#isOver = isOver;
  }

  /** Stores a version, with its files. @returns it as `read` does (rejects: Error where a file cannot be read) */
  async publish(definition: Definition): Promise<Definition> {
    const paths = new Map<string, string>();
    const moved = await movedDefinition(definition, async (file, hash, isModel) => {
      // The folder of a function's copy is named by its hash. A model may have files of weights beside it.
      const top = isModel ? dirname(file) : topOf(file, hash);
      for (const each of await filesIn(top))
        paths.set(posix.join('files', hash, relative(top, each).split(sep).join('/')), each);
      return posix.join('files', hash, relative(top, file).split(sep).join('/'));
    });
    const files: Record<string, string> = {};
    const stored = new Set(await this.#insist(() => this.#broker.names('file.')));
    for (const [path, file] of paths) {
      const bytes = await readFile(file);
      const name = `file.${createHash('sha256').update(bytes).digest('hex')}`;
      files[path] = name;
      if (!stored.has(name)) await this.#insist(() => this.#broker.put(name, bytes));
    }
    const version = serialize({ definition: moved, files } satisfies StoredVersion);
    await this.#insist(() => this.#broker.put(nameOf(definition.id), version));
    return moved;
  }

  /** A version as it was published: its files are named from the folder of a worker. @throws Error (rejects) */
  async read(id: string): Promise<Definition> {
    return (await this.#stored(id)).definition;
  }

  /** A version with its files on this machine. @throws Error where they are not to be had (rejects) */
  local(id: string): Promise<Definition> {
    let known = this.#known.get(id);
    if (!known) {
      known = this.#fetch(id);
      this.#known.set(id, known);
      // The one who asked has the error. The next one tries again.
      known.catch(() => this.#known.delete(id));
    }
    return known;
  }

  async #fetch(id: string): Promise<Definition> {
    const { definition, files } = await this.#stored(id);
    for (const [path, name] of Object.entries(files)) {
      const file = join(this.#folder, path);
      if (existsSync(file)) continue;
      const bytes = await this.#insist(() => this.#broker.get(name));
      if (!bytes) throw new Error(`file ${path} of version ${id} is not at the broker`);
      makeFolder(dirname(file), 0o700);
      const part = join(dirname(file), `.${basename(file)}.part`);
      await writeFile(part, bytes, { mode: 0o600 });
      await rename(part, file);
    }
    return movedDefinition(definition, async (path) => join(this.#folder, path));
  }

  async #stored(id: string): Promise<StoredVersion> {
    const bytes = await this.#insist(() => this.#broker.get(nameOf(id)));
    if (!bytes) throw new Error(`version ${id} is not at the broker`);
    return deserialize(bytes) as StoredVersion;
  }

  #insist<T>(ask: () => Promise<T>): Promise<T> {
    return insist(this.#broker, this.#isOver, ask);
  }
}

function nameOf(id: string): string {
  return `version.${id}`;
}

function topOf(file: string, hash: string): string {
  const at = file.lastIndexOf(`${sep}${hash}${sep}`);
  return at < 0 ? dirname(file) : file.slice(0, at + hash.length + 1);
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
  return files.map(({ parentPath, path, name }) => join(parentPath ?? path, name)).sort();
}

/** The same version, with its files elsewhere. */
async function movedDefinition(
  definition: Definition,
  move: (file: string, hash: string, isModel: boolean) => Promise<string>,
): Promise<Definition> {
  const moved = async (fn: FunctionDefinition) => ({ ...fn, file: await move(fn.file, fn.hash, false) });
  const steps: Definition['steps'][number][] = [];
  for (const step of definition.steps) {
    const { runs, migrate } = step;
    steps.push({
      ...step,
      runs:
        runs.kind === 'model'
          ? { ...runs, file: await move(runs.file, runs.hash, true) }
          : { ...runs, function: await moved(runs.function) },
      ...(migrate && { migrate: await moved(migrate) }),
    });
  }
  const sources: Record<string, Definition['sources'][string]> = {};
  for (const [name, source] of Object.entries(definition.sources))
    sources[name] =
      source.kind === 'generator' ? { ...source, function: await moved(source.function) } : source;
  return { ...definition, sources, steps };
}
