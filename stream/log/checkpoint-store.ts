import { link, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { codeOf, messageOf } from '../../proto/errors.js';
import { makeDurableFolder, syncFolder } from './folders.js';

const NAME = /^(\d{10})\.checkpoint$/;
/** How many checkpoints stay, so that a person can look at the ones before. */
const KEPT = 2;

/** Whether the checkpoint is stored is not known: it is there, but a power cut may take it back. */
export class UncertainError extends Error {}

/**
 * The checkpoints of an application, each a file that is written once: whole or not at all, even when the power fails.
 * The latest one counts.
 */
export class CheckpointStore<T extends { readonly epoch: number }> {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws Error where the folder, or the latest checkpoint in it, cannot be read (rejects) */
  async latest(): Promise<T | undefined> {
    const name = (await this.#names()).at(-1);
    if (name === undefined) return undefined;
    const file = join(this.#folder, name);
    try {
      return deserialize(await readFile(file)) as T;
    } catch (error) {
      // The one before is of no use: records between the two may be gone.
      throw new Error(
        `checkpoint ${file} cannot be read: ${messageOf(error)}. Bring it back from a copy, or begin anew with another state folder`,
        { cause: error },
      );
    }
  }

  /**
   * Stores a checkpoint. This is the moment at which an upgrade is committed.
   *
   * @throws Error where another process has stored this epoch, or the disk does not take it; UncertainError (rejects)
   */
  async store(checkpoint: T): Promise<void> {
    await makeDurableFolder(this.#folder);
    const name = nameOf(checkpoint.epoch);
    const temporary = join(this.#folder, `${name}.new`);
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(serialize(checkpoint));
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      // A link, unlike a rename, fails where the name exists.
      await link(temporary, join(this.#folder, name));
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      throw new Error(`another process runs this application: it has stored epoch ${checkpoint.epoch}`);
    } finally {
      await rm(temporary, { force: true });
    }
    try {
      await syncFolder(this.#folder);
      const old = (await this.#names()).slice(0, -KEPT);
      await Promise.all(old.map((each) => rm(join(this.#folder, each), { force: true })));
    } catch (error) {
      throw new UncertainError(`${this.#folder} cannot be used: ${messageOf(error)}`);
    }
  }

  async #names(): Promise<string[]> {
    try {
      return (await readdir(this.#folder)).filter((name) => NAME.test(name)).sort();
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  }
}

function nameOf(epoch: number): string {
  return `${String(epoch).padStart(10, '0')}.checkpoint`;
}
