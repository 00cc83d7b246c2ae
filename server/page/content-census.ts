import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { contentNameFromHex } from '../../proto/content/content.js';
import { codeOf } from '../../proto/errors.js';
import { scan, summarize } from '../contents/content-folder.js';
import { tenantFolder } from '../contents/tenant-folders.js';
import type { ContentsView } from '../observatory/host-view.js';

/** To count a full store takes 50 ms, so count again only after so many milliseconds. */
const AGAIN_MS = 10_000;

export interface ContentCensusOptions {
  /** The folder above the tenants' folders, each named by a hash of the tenant's name. */
  root: string;
  /** The tenants that have had sessions since the host started. */
  tenants(): Iterable<string>;
  /** Milliseconds of a steady clock. */
  now(): number;
}

/** Counts the contents on disk, by tenant. */
export class ContentCensus {
  readonly #options: ContentCensusOptions;
  #countedAt = Number.NEGATIVE_INFINITY;
  #found: Promise<ContentsView[]> = Promise.resolve([]);

  constructor(options: ContentCensusOptions) {
    this.#options = options;
  }

  /** The counts, at most ten seconds old. Rejects where the folders cannot be read. */
  counts(): Promise<ContentsView[]> {
    const now = this.#options.now();
    if (now - this.#countedAt >= AGAIN_MS) {
      this.#countedAt = now;
      this.#found = this.#count();
    }
    return this.#found;
  }

  async #count(): Promise<ContentsView[]> {
    const { root, tenants } = this.#options;
    const names = new Map([...tenants()].map((tenant) => [basename(tenantFolder(tenant, root)), tenant]));
    const folders = (await readdirIfThere(root)).filter((name) => contentNameFromHex(name));
    const found = await Promise.all(
      folders.map(async (folder) => {
        const { count, bytes } = summarize(await scan(join(root, folder)));
        return { tenant: names.get(folder), count, bytes };
      }),
    );
    return found.sort((a, b) => b.bytes - a.bytes);
  }
}

async function readdirIfThere(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
