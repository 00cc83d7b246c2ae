import { statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { wallClock } from '../../../link/machine/clock.js';
import { ContentFilter } from '../../../proto/content-filter.js';
import type { BoundedFolder, KeptContents as Described } from '../../../proto/handshake.js';
import { ContentStore } from '../../contents/content-store.js';
import { divide, PROFILES, SHADERS, tenantFolder } from '../../contents/tenant-folders.js';
import { newestPrograms } from '../../profiles/profile-store.js';
import { DEFAULT_TENANT } from '../../trust/token-store.js';
import type { Served } from '../executors/pooled-executor.js';

export interface KeptContentsOptions {
  /** Below this the tenants' folders are. They are made when something is first written. */
  root: string;
  /** What each tenant's may take. Default 4 GiB, or half of what the disk has for them if that is less. */
  maxBytes?: number | undefined;
}

/** What the host keeps of each tenant's uploads: no tenant's executors or clients hear of another's. */
export class TenantContents {
  readonly #options: KeptContentsOptions;
  readonly #ownBytes: (tenant: string) => number | undefined;
  readonly #known = new Map<string, { contents: KeptContents; maxBytes: number | undefined }>();
  readonly #met = new Set<string>();

  /** `ownBytes` is what a tenant's may take where that is another than all have; read at each use. */
  constructor(options: KeptContentsOptions, ownBytes: (tenant: string) => number | undefined) {
    this.#options = options;
    this.#ownBytes = ownBytes;
  }

  /** Below this the tenants' folders are. */
  get root(): string {
    return this.#options.root;
  }

  /** The tenants that were met. */
  get tenants(): Iterable<string> {
    return this.#met;
  }

  /** The programs of these tenants that ran last, the newest first; each is looked for when it is asked for. */
  *programs(tenants: Iterable<string>): Generator<Served & { blobs: BoundedFolder }> {
    const owners = new Map<string, string>();
    for (const tenant of tenants) owners.set(join(tenantFolder(tenant, this.root), PROFILES), tenant);
    const known = new Set<string>();
    for (const { folder, program } of newestPrograms([...owners.keys()])) {
      const tenant = owners.get(folder);
      const key = JSON.stringify([tenant, program]);
      if (tenant === undefined || known.has(key)) continue;
      known.add(key);
      // Only for those that are wanted: it looks through all that the tenant has.
      yield { tenant, program, blobs: this.of(tenant).folder };
    }
  }

  of(tenant: string): KeptContents {
    this.#met.add(tenant);
    return this.#find(tenant);
  }

  /** Where the GPU's driver keeps what it compiled for a tenant, who need not have come yet. */
  shadersOf(tenant: string): BoundedFolder {
    const { path, maxBytes } = this.#find(tenant).folder;
    return { path: join(path, SHADERS), maxBytes: divide(maxBytes).shaders };
  }

  #find(tenant: string): KeptContents {
    const maxBytes = this.#ownBytes(tenant) ?? this.#options.maxBytes;
    const known = this.#known.get(tenant);
    if (known && known.maxBytes === maxBytes) return known.contents;
    const contents = new KeptContents({ ...this.#options, maxBytes }, tenant);
    this.#known.set(tenant, { contents, maxBytes });
    return contents;
  }
}

const DEFAULT_BYTES = 4 * 2 ** 30;

/** Within so many milliseconds two changes of a folder may bear the same time. */
const CLOCK_TICK_MS = 50;

/**
 * What the host keeps of a tenant's uploads, as its daemon sees it: the executors read and write the folder, the daemon
 * says at the start of a session what is in it. It may be wrong at once, which the client finds out.
 */
export class KeptContents {
  /** For the executors. */
  readonly folder: BoundedFolder;
  readonly #store: ContentStore;
  #filter: { changed: number; bytes: Uint8Array } | undefined;

  constructor({ root, maxBytes }: KeptContentsOptions, tenant: string = DEFAULT_TENANT) {
    const path = resolve(tenantFolder(tenant, root));
    // The bound decides what is kept, not what is found: so the store that looks needs none.
    const held = new ContentStore({ folder: path, maxBytes: 0 }).summary().bytes;
    this.folder = {
      path,
      maxBytes: maxBytes ?? Math.min(DEFAULT_BYTES, Math.floor((freeBytes(path) + held) / 2)),
    };
    this.#store = new ContentStore({ folder: path, maxBytes: divide(this.folder.maxBytes).contents });
  }

  describe(): Described {
    return { filter: this.#encoded(), largestBytes: this.#store.largestBytes };
  }

  /** Kept while the folder is as it was: looking through a full one takes 0.1 s. */
  #encoded(): Uint8Array {
    const changed = changeOf(this.folder.path);
    if (this.#filter?.changed === changed) return this.#filter.bytes;
    const settled = wallClock() - changed > CLOCK_TICK_MS;
    const bytes = ContentFilter.of(this.#store.names()).encode();
    this.#filter = settled ? { changed, bytes } : undefined;
    return bytes;
  }
}

/** When something came into a folder or went, in milliseconds since 1970; 0 where it cannot be looked at. */
function changeOf(folder: string): number {
  try {
    return statSync(folder).mtimeMs;
  } catch {
    return 0;
  }
}

/** What the disk has for a folder that may not be there yet. */
function freeBytes(folder: string): number {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    } catch {
      // Not there, or not for us: the disk is that of the folder around it.
      if (path === dirname(path)) return DEFAULT_BYTES;
    }
  }
}
