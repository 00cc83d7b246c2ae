import { statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { wallClock } from '../../../link/machine/clock.js';
import { ContentFilter } from '../../../proto/content/content-filter.js';
import type { BoundedFolder } from '../../../proto/session/executor-messages.js';
import type { KeptContents as Described } from '../../../proto/session/handshake.js';
import { ContentStore } from '../../contents/content-store.js';
import { divide, PROFILES, SHADERS, tenantFolder } from '../../contents/tenant-folders.js';
import { newestPrograms } from '../../profiles/profile-store.js';
import { DEFAULT_TENANT } from '../../trust/token-store.js';
import type { TenantProgram } from '../executors/pooled-executor.js';

export interface TenantContentsOptions {
  /** The folder above the tenants' folders, which are made at the first write. */
  root: string;
  /** Bytes for each tenant. Default 4 GiB, or half of the free disk space if that is less. */
  maxBytes?: number | undefined;
}

/** The contents that the host keeps for each tenant. No tenant's executors or clients learn of another's. */
export class TenantContents {
  readonly #options: TenantContentsOptions;
  readonly #ownBytes: (tenant: string) => number | undefined;
  readonly #known = new Map<string, { contents: KeptContents; maxBytes: number | undefined }>();
  readonly #met = new Set<string>();

  /** @param ownBytes gives a tenant's own limit, where it has one; called at each use. */
  constructor(options: TenantContentsOptions, ownBytes: (tenant: string) => number | undefined) {
    this.#options = options;
    this.#ownBytes = ownBytes;
  }

  /** The folder above the tenants' folders. */
  get root(): string {
    return this.#options.root;
  }

  /** The tenants that have had sessions since the host started. */
  get tenants(): Iterable<string> {
    return this.#met;
  }

  /** The programs of these tenants that ran last, the newest first, each found when the iteration reaches it. */
  *programs(tenants: Iterable<string>): Generator<TenantProgram & { folder: BoundedFolder }> {
    const owners = new Map<string, string>();
    for (const tenant of tenants) owners.set(join(tenantFolder(tenant, this.root), PROFILES), tenant);
    const known = new Set<string>();
    for (const { folder, program } of newestPrograms([...owners.keys()])) {
      const tenant = owners.get(folder);
      const key = JSON.stringify([tenant, program]);
      if (tenant === undefined || known.has(key)) continue;
      known.add(key);
      // Look up the folder only now: that reads all of the tenant's contents.
      yield { tenant, program, folder: this.of(tenant).folder };
    }
  }

  of(tenant: string): KeptContents {
    this.#met.add(tenant);
    return this.#find(tenant);
  }

  /** The folder in which the GPU's driver stores shaders compiled for a tenant. */
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

/** Two changes of a folder within so many milliseconds may have the same time. */
const CLOCK_TICK_MS = 50;

/**
 * One tenant's contents, as the daemon sees them. The executors read and write the folder. At the start of a session the
 * daemon tells the client which contents are there. That may be outdated at once, and the client finds out.
 */
export class KeptContents {
  /** The folder, for the executors. */
  readonly folder: BoundedFolder;
  readonly #store: ContentStore;
  #filter: { changed: number; bytes: Uint8Array } | undefined;

  constructor({ root, maxBytes }: TenantContentsOptions, tenant: string = DEFAULT_TENANT) {
    const path = resolve(tenantFolder(tenant, root));
    // The limit matters only for writing, so this store, which only reads, needs none.
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

  /** The encoded filter, kept until the folder changes: to read a full folder takes 0.1 s. */
  #encoded(): Uint8Array {
    const changed = changeOf(this.folder.path);
    if (this.#filter?.changed === changed) return this.#filter.bytes;
    const settled = wallClock() - changed > CLOCK_TICK_MS;
    const bytes = ContentFilter.of(this.#store.names()).encode();
    this.#filter = settled ? { changed, bytes } : undefined;
    return bytes;
  }
}

/** When a file was last added to a folder or removed, in milliseconds since 1970; 0 where the folder cannot be read. */
function changeOf(folder: string): number {
  try {
    return statSync(folder).mtimeMs;
  } catch {
    return 0;
  }
}

/** The free disk space for a folder that may not exist yet. */
function freeBytes(folder: string): number {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const { bavail, bsize } = statfsSync(path);
      return bavail * bsize;
    } catch {
      // The folder does not exist, or this user may not read it: try the folder above, on the same disk.
      if (path === dirname(path)) return DEFAULT_BYTES;
    }
  }
}
