import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hashContent } from '../../link/content-hash.js';
import { CONTENT_NAME_BYTES, sameContentName, toContentName } from '../../proto/content.js';
import { type BlobFile, blobPath, scanSync, temporaryPath } from '../blobs/blob-folder.js';
import { decodeProfile, encodeProfile, type Profile } from './profile.js';

/** Profiles that are kept. */
const MOST = 256;
/** Profiles that are looked at for those that were written last. */
const MOST_READ = 32;

/**
 * What programs compiled on their devices, on disk: a file for each program and each way in which it asks for a
 * device, which begins with the hash of the rest. A profile saves time and nothing else, so whatever is wrong with one
 * is as if there were none.
 */
export class ProfileStore {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Undefined where there is none. */
  read(key: string): Profile | undefined {
    return readFile(this.#path(key));
  }

  /** Replaces the profile as a whole: another process reads the old one or the new one. */
  write(key: string, profile: Profile): void {
    const content = encodeProfile(profile);
    const temporary = temporaryPath(this.folder, randomBytes(16));
    try {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      this.#trim();
      writeFileSync(temporary, Buffer.concat([hashContent(content), content]), { mode: 0o600 });
      renameSync(temporary, this.#path(key));
    } catch {
      this.#discard(temporary);
    }
  }

  #discard(path: string): void {
    try {
      rmSync(path, { force: true });
    } catch {
      // Not even its folder is there.
    }
  }

  /** Makes room for one more, where there are too many: the oldest goes. */
  #trim(): void {
    const files = scanSync(this.folder).sort((a, b) => a.used - b.used);
    for (const { path } of files.slice(0, Math.max(0, files.length - MOST + 1)))
      rmSync(path, { force: true });
  }

  #path(key: string): string {
    return blobPath(this.folder, hashContent(new TextEncoder().encode(key)));
  }
}

/** The profiles in these folders that were written last, the newest first; each is read when it is asked for. */
export function* newestProfiles(folders: readonly string[]): Generator<{ folder: string; profile: Profile }> {
  const files = folders.flatMap((folder) => scan(folder).map(({ path, used }) => ({ folder, path, used })));
  files.sort((a, b) => b.used - a.used);
  for (const { folder, path } of files.slice(0, MOST_READ)) {
    const profile = readFile(path);
    if (profile) yield { folder, profile };
  }
}

function scan(folder: string): BlobFile[] {
  try {
    return scanSync(folder);
  } catch {
    return [];
  }
}

function readFile(path: string): Profile | undefined {
  try {
    const file = new Uint8Array(readFileSync(path));
    const content = file.subarray(CONTENT_NAME_BYTES);
    const name = toContentName(file.subarray(0, CONTENT_NAME_BYTES));
    return sameContentName(name, hashContent(content)) ? decodeProfile(content) : undefined;
  } catch {
    return undefined;
  }
}
