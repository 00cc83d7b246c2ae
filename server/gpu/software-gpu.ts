import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { makeFolder } from '../../link/files/make-folder.js';
import { cacheFolder } from '../../link/machine/folders.js';
import { packageFile } from '../../link/machine/package-files.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { readTar } from './tar.js';

const LOADER = 'libvulkan.so.1';
const ICD = 'vk_swiftshader_icd.json';
export const FILES: readonly string[] = ['libvk_swiftshader.so', LOADER, ICD];

/** The file with the SHA-256 of each of those files. The build writes it. */
const HASHES = 'sha256.json';

/** The archive's name, with its version. It is a tar of those files and others, compressed with brotli. */
const ARCHIVE = /^swiftshader-(.+)\.tar\.br$/;

/** glibc's RTLD_NODELETE, which Node does not name. */
const RTLD_NODELETE = 0x1000;

/** Whether the embedded software GPU has a build for this machine. */
export function softwareGpuSupported(): boolean {
  return process.platform === 'linux' && process.arch === 'x64';
}

/** The Vulkan loader reads these when it creates an instance, to find its drivers: the old and the new name. */
const DRIVER_VARIABLES = ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES'] as const;

/**
 * Runs `open`, which opens Dawn's Vulkan backend, with the embedded software GPU (SwiftShader) as the only Vulkan driver.
 * Backends that are open already keep their drivers, and later ones find the drivers as before. Calls must not overlap.
 *
 * @throws FarlightError NO_ADAPTER (rejects) where there is no build for this machine, or the cache cannot be written.
 */
export async function withSoftwareGpu<T>(open: () => Promise<T>): Promise<T> {
  const folder = softwareGpuFolder();
  ensureVulkanLoader(folder);
  const before = DRIVER_VARIABLES.map((name) => [name, process.env[name]] as const);
  for (const name of DRIVER_VARIABLES) process.env[name] = join(folder, ICD);
  try {
    return await open();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/**
 * Makes sure that Dawn finds a Vulkan loader: the system's, or else the software GPU's own. The latter
 * serves the system's drivers, too: many containers have an NVIDIA driver and no libvulkan1.
 *
 * Dawn asks the dynamic linker for "libvulkan.so.1". The linker reads LD_LIBRARY_PATH only when a process starts, so it
 * is too late to add a folder of ours. But a library that is loaded already answers to its SONAME. process.dlopen is
 * Node's only way to load one. It throws, because the loader is no addon, and closes its handle. RTLD_NODELETE keeps the
 * library in the process.
 */
export function ensureVulkanLoader(folder?: string): void {
  if (process.platform !== 'linux' || loadLibrary(LOADER) || !softwareGpuSupported()) return;
  loadLibrary(join(folder ?? softwareGpuFolder(), LOADER));
}

/** Loads a library. Returns whether it is in the process now. */
function loadLibrary(path: string): boolean {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
    return true;
  } catch (error) {
    return error instanceof Error && error.message.includes('did not self-register');
  }
}

/**
 * The folder of the software GPU's files. The first use extracts them to a temporary folder, and renames that when every
 * file is on disk, so that no process ever sees half of them. Every use checks their hashes: a cache may be restored from
 * elsewhere, and the files run with all rights of this user.
 *
 * @throws FarlightError NO_ADAPTER as withSoftwareGpu does.
 */
export function softwareGpuFolder(): string {
  if (!softwareGpuSupported()) {
    throw new FarlightError(
      'NO_ADAPTER',
      `the embedded software GPU has no build for ${process.platform}-${process.arch}, only for linux-x64; ` +
        `install a GPU driver, or connect to a host elsewhere with --host`,
    );
  }
  const { archive, version, hashes } = findArchive();
  const cache = cacheFolder();
  const folder = join(cache, `swiftshader-${version}`);
  if (isWhole(folder, hashes)) return folder;
  try {
    makeFolder(cache);
    const temporary = mkdtempSync(`${folder}.`);
    try {
      extract(archive, temporary);
      if (!isWhole(temporary, hashes)) throw new Error(`${archive} is damaged: install farlight again`);
      publish(temporary, folder, hashes);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  } catch (cause) {
    throw new FarlightError(
      'NO_ADAPTER',
      `the embedded software GPU could not be unpacked into ${cache} (${messageOf(cause)}); ` +
        `set XDG_CACHE_HOME to a folder that can be written`,
      { cause },
    );
  }
  return folder;
}

type Hashes = Readonly<Record<string, string>>;

function isWhole(folder: string, hashes: Hashes): boolean {
  return FILES.every((file) => {
    try {
      return (
        createHash('sha256')
          .update(readFileSync(join(folder, file)))
          .digest('hex') === hashes[file]
      );
    } catch {
      return false;
    }
  });
}

/** The archive that the build put there, its version, and the hashes of its files. */
function findArchive(): { archive: string; version: string; hashes: Hashes } {
  const folder = fileURLToPath(packageFile('server/swiftshader/'));
  const name = existsSync(folder) ? readdirSync(folder).find((each) => ARCHIVE.test(each)) : undefined;
  const [, version] = ARCHIVE.exec(name ?? '') ?? [];
  const hashes = join(folder, HASHES);
  if (!name || !version || !existsSync(hashes)) {
    throw new FarlightError(
      'NO_ADAPTER',
      `the embedded software GPU is missing from ${folder}; install farlight again, or build it again in a clone`,
    );
  }
  return { archive: join(folder, name), version, hashes: JSON.parse(readFileSync(hashes, 'utf8')) };
}

function extract(archive: string, folder: string): void {
  const missing = new Set(FILES);
  for (const { name, bytes } of readTar(brotliDecompressSync(readFileSync(archive)))) {
    if (!missing.delete(name)) continue;
    const file = openSync(join(folder, name), 'wx', 0o755);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
  if (missing.size > 0) throw new Error(`${archive} lacks ${[...missing].join(', ')}`);
}

/** Renames the extracted folder, unless another process was first. */
function publish(temporary: string, folder: string, hashes: Hashes): void {
  // A folder that lost files, to a cache cleaner for example, would always block the rename: move it away.
  if (existsSync(folder) && !isWhole(folder, hashes)) {
    const broken = `${temporary}.broken`;
    renameSync(folder, broken);
    rmSync(broken, { recursive: true, force: true });
  }
  try {
    renameSync(temporary, folder);
  } catch (error) {
    if (!isWhole(folder, hashes)) throw error;
  }
}
