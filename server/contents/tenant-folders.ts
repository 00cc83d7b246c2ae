import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../link/machine/folders.js';
import { hashContent } from '../../link/machine/hashing.js';
import { contentNameFromHex, contentNameToHex } from '../../proto/content/content.js';
import { codeOf } from '../../proto/errors.js';
import { clearFolder, type FolderSummary, scanSync, summarize } from './content-folder.js';
import { clearShaders, summarizeShaders } from './driver-shaders.js';

export interface TenantsSummary extends FolderSummary {
  tenants: number;
}

/** The folder that holds the tenants' folders. */
export function tenantsRoot(): string {
  return join(cacheFolder(), 'contents');
}

/** Gives the folder of version 0.1, which was called `blobs`, its new name. Its contents would stay on the disk for ever. */
export function takeOverOldRoot(): void {
  try {
    // Fails where there is no such folder, or where the new one has files already.
    renameSync(join(cacheFolder(), 'blobs'), tenantsRoot());
  } catch {
    // Programs upload their contents again.
  }
}

/**
 * The folder of one tenant. No other tenant's store ever looks at it. The tenant's name may be any text: the path has
 * its hash.
 */
export function tenantFolder(tenant: string, root = tenantsRoot()): string {
  return join(root, contentNameToHex(hashContent(new TextEncoder().encode(tenant))));
}

/** The folder, within a tenant's, of its programs' profiles. Their files have names like contents. */
export const PROFILES = 'profiles';
/** The folder, within a tenant's, where the GPU's driver keeps compiled shaders. */
export const SHADERS = 'shaders';

/** The most bytes of profiles and of shaders: they are text and code, and never as large as uploads. */
const MOST_BYTES = { profiles: 128 << 20, shaders: 512 << 20 };

/** Divides the bytes that a tenant's folder may take. */
export function divide(maxBytes: number): { contents: number; profiles: number; shaders: number } {
  const eighth = Math.floor(maxBytes / 8);
  const profiles = Math.min(eighth, MOST_BYTES.profiles);
  const shaders = Math.min(eighth, MOST_BYTES.shaders);
  return { contents: maxBytes - profiles - shaders, profiles, shaders };
}

/**
 * Sums up all tenants' contents, or the files in the folder `within` each tenant's folder.
 *
 * @throws where the root or a folder in it cannot be read.
 */
export function summarizeTenants(root = tenantsRoot(), within = ''): TenantsSummary {
  const folders = tenantFolders(root, within);
  return { tenants: folders.length, ...summarize(folders.flatMap((folder) => scanSync(folder))) };
}

/**
 * Deletes all tenants' contents, or the files in the folder `within` each tenant's folder. Other files stay.
 *
 * @returns what was deleted.
 * @throws where the root or a folder in it cannot be read, or something in them cannot be deleted.
 */
export function clearTenants(root = tenantsRoot(), within = ''): TenantsSummary {
  return deleted(tenantFolders(root, within).map(clearFolder));
}

/** Sums up the shaders that the GPU's driver keeps for all tenants. @throws as summarizeTenants. */
export function summarizeAllShaders(root = tenantsRoot()): TenantsSummary {
  return total(tenantFolders(root, SHADERS).map(summarizeShaders));
}

/** Deletes those shaders. @throws as clearTenants. */
export function clearAllShaders(root = tenantsRoot()): TenantsSummary {
  return deleted(tenantFolders(root, SHADERS).map(clearShaders));
}

function deleted(summaries: readonly FolderSummary[]): TenantsSummary {
  const { tenants, count, bytes } = total(summaries);
  return { tenants, count, bytes };
}

function total(summaries: readonly FolderSummary[]): TenantsSummary {
  const sum: TenantsSummary = { tenants: summaries.length, count: 0, bytes: 0 };
  for (const { count, bytes, oldestUse, newestUse } of summaries) {
    sum.count += count;
    sum.bytes += bytes;
    if (oldestUse === undefined || newestUse === undefined) continue;
    sum.oldestUse = Math.min(sum.oldestUse ?? oldestUse, oldestUse);
    sum.newestUse = Math.max(sum.newestUse ?? newestUse, newestUse);
  }
  return sum;
}

function tenantFolders(root: string, within: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && contentNameFromHex(entry.name))
      .map(({ name }) => join(root, name, within))
      .filter((folder) => within === '' || existsSync(folder));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}
