import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { contentNameFromHex } from '../../proto/content.js';
import { codeOf, scan, summarize } from '../contents/content-folder.js';
import { tenantFolder } from '../contents/tenant-folders.js';
import type { BlobsView } from '../observatory/view.js';

/** A full store takes 50 ms to look through, so it is looked at again only after so many milliseconds. */
const AGAIN_MS = 10_000;

export interface BlobCensusOptions {
  /** Below this the tenants' folders are, each named by a hash of the tenant's name. */
  root: string;
  /** The tenants that the host has met. */
  tenants(): Iterable<string>;
  /** Milliseconds of a steady clock. */
  now(): number;
}

/** What is kept of uploads, by tenant, for those who look at the host. */
export class BlobCensus {
  readonly #options: BlobCensusOptions;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #found: Promise<BlobsView[]> = Promise.resolve([]);

  constructor(options: BlobCensusOptions) {
    this.#options = options;
  }

  /** What was there at most ten seconds ago. Rejects where the folders cannot be read. */
  look(): Promise<BlobsView[]> {
    const now = this.#options.now();
    if (now - this.#lookedAt >= AGAIN_MS) {
      this.#lookedAt = now;
      this.#found = this.#count();
    }
    return this.#found;
  }

  async #count(): Promise<BlobsView[]> {
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
