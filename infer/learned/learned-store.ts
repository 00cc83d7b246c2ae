import { createHash, randomBytes } from 'node:crypto';
import {
  createReadStream,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { makeFolder } from '../../link/files/make-folder.js';
import { cacheFolder } from '../../link/machine/folders.js';
import { Learned, type LearnedRecord } from './learned.js';

/** The most files that are kept, shapes of one file, and bytes of one. */
const MOST_FILES = 256;
const MOST_SHAPES = 32;
const MOST_BYTES = 1 << 20;
/** Goes up when the records change. */
const FORMAT = 2;

/**
 * Keeps the learned figures of models on disk: a file for each model, by its hash, and each kind of adapter. It only saves
 * time, so a file that is wrong in any way counts as missing, and a failed write is no error.
 */
export class LearnedStore {
  readonly #folder: string;
  readonly #adapter: string;

  constructor(adapter: string, folder: string = join(cacheFolder(), 'infer')) {
    this.#adapter = adapter;
    this.#folder = folder;
  }

  /** By shape. */
  read(model: string): Map<string, Learned> {
    try {
      const path = this.#path(model);
      if (statSync(path).size > MOST_BYTES) return new Map();
      const { format, shapes } = JSON.parse(readFileSync(path, 'utf8')) as {
        format: number;
        shapes: Record<string, LearnedRecord>;
      };
      if (format !== FORMAT) return new Map();
      return new Map(Object.entries(shapes).map(([shape, record]) => [shape, Learned.read(checked(record))]));
    } catch {
      return new Map();
    }
  }

  /** Keeps the last shapes if there are too many. */
  write(model: string, shapes: ReadonlyMap<string, Learned>): void {
    const records = [...shapes].filter(([, learned]) => learned.hasRun).slice(-MOST_SHAPES);
    if (records.length === 0) return;
    const text = JSON.stringify({
      format: FORMAT,
      shapes: Object.fromEntries(records.map(([shape, learned]) => [shape, learned.record()])),
    });
    if (text.length > MOST_BYTES) return;
    const temporary = join(this.#folder, `.${randomBytes(8).toString('hex')}`);
    try {
      makeFolder(this.#folder, 0o700);
      writeFileSync(temporary, text, { mode: 0o600 });
      renameSync(temporary, this.#path(model));
      this.#trim();
    } catch {
      discard(temporary);
    }
  }

  #path(model: string): string {
    const name = createHash('sha256')
      .update(JSON.stringify([model, this.#adapter]))
      .digest('hex');
    return join(this.#folder, `${name.slice(0, 32)}.json`);
  }

  /** Removes the files that were written longest ago. */
  #trim(): void {
    const files = readdirSync(this.#folder).map((name) => join(this.#folder, name));
    if (files.length <= MOST_FILES) return;
    const written = files.map((path) => ({
      path,
      at: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0,
    }));
    written.sort((a, b) => b.at - a.at);
    for (const { path } of written.slice(MOST_FILES)) rmSync(path, { force: true });
  }
}

function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // If the folder cannot be used, there is no file in it either.
  }
}

/** The hash of a file, in hex. */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** @throws Error where a record is none */
function checked(record: LearnedRecord): LearnedRecord {
  const { peaks, gpu, wait, output } = record;
  const figures = [...peaks.map(({ bytes }) => bytes), ...[...gpu, ...wait].map(({ ms }) => ms), output];
  const batches = [...peaks, ...gpu, ...wait].map(({ batch }) => batch);
  if (!figures.every((figure) => Number.isFinite(figure) && figure >= 0)) throw new Error('no figure');
  if (!batches.every((batch) => Number.isSafeInteger(batch) && batch > 0)) throw new Error('no batch');
  return record;
}
