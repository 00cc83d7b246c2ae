import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { makeFolder } from '../../link/files/make-folder.js';
import { hashContent } from '../../link/machine/hashing.js';
import { CONTENT_NAME_BYTES, sameContentName, toContentName } from '../../proto/content/content.js';
import {
  bytesOnDisk,
  contentPath,
  type StoredFile,
  scanSync,
  temporaryPath,
} from '../contents/content-folder.js';
import {
  type DeviceRecipes,
  decodeProfile,
  decodeProgram,
  encodeProfile,
  PROFILE_LIMITS,
  type Profile,
  type ProfileStep,
} from './profile.js';

/** The most profiles that are kept, and the default for the most bytes of all of them. */
const MOST = 256;
const MOST_BYTES = 128 << 20;
/** How many of the newest profiles are read at most. */
const MOST_READ = 32;
/** How many files of a folder are looked at: more than a store ever leaves there. */
const MOST_FILES = 4 * MOST;
/** Nothing is compiled ahead for a program with a longer name, in bytes. */
const NAME_BYTES = 1024;
/** The size of the largest file. All but the steps is small. */
const FILE_BYTES = PROFILE_LIMITS.bytes + (1 << 20);

/**
 * Profiles on disk: a file for each program and each way of the program to ask for a device. A file begins with the hash of
 * the rest. A profile only saves time, so a profile that is wrong in any way counts as none.
 */
export class ProfileStore {
  readonly folder: string;
  readonly #maxBytes: number;

  /** `maxBytes` is how many bytes the folder may take. A file counts as the whole blocks that it occupies. */
  constructor(folder: string, maxBytes: number = MOST_BYTES) {
    this.folder = folder;
    this.#maxBytes = maxBytes;
  }

  /** Undefined where there is no such profile. */
  read(key: string): Profile | undefined {
    return readProfile(this.#path(key));
  }

  /** Replaces the profile as a whole, so that another process reads the old one or the new one. */
  write(key: string, profile: Profile): void {
    // One program must leave room for others.
    const content = encodeProfile(profile, this.#maxBytes / 4);
    const temporary = temporaryPath(this.folder, randomBytes(16));
    try {
      makeFolder(this.folder, 0o700);
      const room = bytesOnDisk(content.length + CONTENT_NAME_BYTES);
      if (room > this.#maxBytes / 2) return;
      this.#trim(room);
      writeFileSync(temporary, Buffer.concat([hashContent(content), content]), { mode: 0o600 });
      renameSync(temporary, this.#path(key));
      // Processes that made room at the same time may have made the same room.
      this.#trim(0);
    } catch {
      this.#discard(temporary);
    }
  }

  #discard(path: string): void {
    try {
      rmSync(path, { force: true });
    } catch {
      // Its folder does not exist either.
    }
  }

  /** Deletes the oldest files until so many bytes more fit. */
  #trim(room: number): void {
    const files = scanSync(this.folder).sort((a, b) => a.used - b.used);
    let bytes = files.reduce((sum, file) => sum + bytesOnDisk(file.bytes), room);
    let count = files.length + (room > 0 ? 1 : 0);
    for (const file of files) {
      if (bytes <= this.#maxBytes && count <= MOST) break;
      rmSync(file.path, { force: true });
      bytes -= bytesOnDisk(file.bytes);
      count -= 1;
    }
  }

  #path(key: string): string {
    return contentPath(this.folder, hashContent(new TextEncoder().encode(key)));
  }
}

/** How a program asked for a device: the key of this way to ask, and how to ask again. */
export interface AskedDevice {
  readonly key: string;
  readonly recipes: DeviceRecipes;
}

/** The profiles of one program's devices, by the way it asked for each device. */
export class ProgramProfiles {
  readonly #program: string;
  readonly #store: ProfileStore;

  constructor(program: string, store: ProfileStore) {
    this.#program = program;
    this.#store = store;
  }

  read(asked: AskedDevice): readonly ProfileStep[] {
    return this.#store.read(this.#key(asked))?.steps ?? [];
  }

  write(asked: AskedDevice, steps: readonly ProfileStep[]): void {
    this.#store.write(this.#key(asked), { program: this.#program, device: asked.recipes, steps });
  }

  /** How the program asked for its last devices, on this GPU or on another. The newest comes first. */
  devices(): DeviceRecipes[] {
    const newest = [...newestProfiles([this.#store.folder])].map(({ profile }) => profile);
    return newest.filter(({ program }) => program === this.#program).map(({ device }) => device);
  }

  #key({ key }: AskedDevice): string {
    return JSON.stringify([this.#program, key]);
  }
}

/** The newest profiles in these folders, the newest first. Each is read when it is asked for. */
export function* newestProfiles(folders: readonly string[]): Generator<{ folder: string; profile: Profile }> {
  for (const { folder, path } of newest(folders)) {
    const profile = readProfile(path);
    if (profile) yield { folder, profile };
  }
}

/**
 * The programs of the newest profiles in these folders. A tenant's programs wrote these files, so the daemon reads only
 * their first bytes, which may be wrong. The tenant's own processes read the rest.
 */
export function* newestPrograms(folders: readonly string[]): Generator<{ folder: string; program: string }> {
  for (const { folder, path } of newest(folders)) {
    const head = readHead(path, CONTENT_NAME_BYTES + NAME_BYTES);
    const program = head && programOf(head.subarray(CONTENT_NAME_BYTES));
    if (program !== undefined) yield { folder, program };
  }
}

function newest(folders: readonly string[]): { folder: string; path: string }[] {
  const files = folders.flatMap((folder) => scan(folder).map(({ path, used }) => ({ folder, path, used })));
  return files.sort((a, b) => b.used - a.used).slice(0, MOST_READ);
}

function scan(folder: string): StoredFile[] {
  try {
    return scanSync(folder, MOST_FILES);
  } catch {
    return [];
  }
}

function programOf(head: Uint8Array): string | undefined {
  try {
    return decodeProgram(head);
  } catch {
    return undefined;
  }
}

function readProfile(path: string): Profile | undefined {
  const file = readHead(path, FILE_BYTES);
  if (!file) return undefined;
  const content = file.subarray(CONTENT_NAME_BYTES);
  try {
    const name = toContentName(file.subarray(0, CONTENT_NAME_BYTES));
    return sameContentName(name, hashContent(content)) ? decodeProfile(content) : undefined;
  } catch {
    return undefined;
  }
}

/** At most so many bytes of a file. Undefined where no store has written it. */
function readHead(path: string, mostBytes: number): Uint8Array | undefined {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(file);
      if (!stats.isFile() || stats.size > FILE_BYTES) return undefined;
      const bytes = new Uint8Array(Math.min(mostBytes, stats.size));
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}
