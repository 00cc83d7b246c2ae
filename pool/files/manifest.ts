import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { codeOf } from '../../proto/errors.js';

/** A file that was copied into a shared folder. */
export interface Copied {
  /** Of its content, in hexadecimal digits. */
  readonly hash: string;
  readonly size: number;
  /** The copy's time of change, in seconds. */
  readonly modified: number;
  /** The original with this identity has this content; undefined where only its content can tell. */
  readonly source?: string | undefined;
}

const FOLDER = '.farlight/manifest';
const NAME = /^[0-9a-f]{16}$/;

/** Of two entries for one path, the one with the higher order is later. */
type Entry = Copied & { readonly order: number };

/** Names of files may be anything, `__proto__` too, so a list holds them. */
interface Written {
  readonly files: readonly (readonly [path: string, entry: Entry])[];
}

/**
 * The list of the files that were copied into a shared folder. Several programs may copy at once, without a lock:
 * each writes a file of its own that has all the files it has read, and deletes those. A reader takes all there are.
 */
export class Manifest {
  readonly #folder: string;
  readonly #files: Map<string, Entry>;
  /** The files that this manifest was read from. */
  readonly #read: readonly string[];
  readonly #order: number;
  #isChanged = false;

  private constructor(folder: string, files: Map<string, Entry>, read: readonly string[]) {
    this.#folder = folder;
    this.#files = files;
    this.#read = read;
    let latest = 0;
    for (const { order } of files.values()) latest = Math.max(latest, order);
    this.#order = latest + 1;
  }

  static async read(shared: string): Promise<Manifest> {
    const folder = join(shared, FOLDER);
    for (;;) {
      const names = ((await readdir(folder).catch(missing)) ?? []).filter((name) => NAME.test(name));
      const texts = await Promise.all(
        names.map((name) => readFile(join(folder, name), 'utf8').catch(missing)),
      );
      // Another program has put one of them into its own, which is in the folder by now.
      if (texts.includes(undefined)) continue;
      const files = new Map<string, Entry>();
      for (const text of texts)
        for (const [path, copied] of (JSON.parse(text ?? '') as Written).files)
          if (copied.order >= (files.get(path)?.order ?? 0)) files.set(path, copied);
      return new Manifest(folder, files, names);
    }
  }

  get(path: string): Copied | undefined {
    return this.#files.get(path);
  }

  set(path: string, copied: Copied): void {
    this.#files.set(path, { ...copied, order: this.#order });
    this.#isChanged = true;
  }

  async write(): Promise<void> {
    if (!this.#isChanged) return;
    makeFolder(this.#folder);
    const name = randomBytes(8).toString('hex');
    const temporary = join(this.#folder, `${name}.new`);
    await writeFile(temporary, JSON.stringify({ files: [...this.#files] } satisfies Written));
    await rename(temporary, join(this.#folder, name));
    for (const old of this.#read) await rm(join(this.#folder, old), { force: true });
  }
}

/** Undefined for a file that is not there. */
export function missing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
  return undefined;
}
