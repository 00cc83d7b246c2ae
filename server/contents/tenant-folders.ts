import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../link/machine/folders.js';
import { hashContent } from '../../link/machine/hashing.js';
import { contentNameFromHex, contentNameToHex } from '../../proto/content.js';
import { codeOf } from '../../proto/errors.js';
import { clearFolder, type FolderSummary, scanSync, summarize } from './content-folder.js';
import { clearShaders, summarizeShaders } from './shader-folder.js';

export interface TenantsSummary extends FolderSummary {
  tenants: number;
}

/** Below this each tenant has a folder of its own. */
export function tenantsRoot(): string {
  return join(cacheFolder(), 'blobs');
}

/**
 * The folder of one tenant, whose contents no other tenant's store ever looks at. The tenant's name
 * may be any text: only its hash becomes part of the path.
 */
export function tenantFolder(tenant: string, root = tenantsRoot()): string {
  return join(root, contentNameToHex(hashContent(new TextEncoder().encode(tenant))));
}

/** Within a tenant's folder: what its programs compiled, a file each under a name of the same kind. */
export const PROFILES = 'profiles';
/** Within a tenant's folder: what the GPU's driver keeps of the shaders that it compiled. */
export const SHADERS = 'shaders';

/** What is kept to compile sooner has so much at most, in bytes: it is text and code, and never as much as uploads. */
const MOST_BYTES = { profiles: 128 << 20, shaders: 512 << 20 };

/** How the bytes that may be kept of a tenant are divided among what is kept of it. */
export function divide(maxBytes: number): { contents: number; profiles: number; shaders: number } {
  const eighth = Math.floor(maxBytes / 8);
  const profiles = Math.min(eighth, MOST_BYTES.profiles);
  const shaders = Math.min(eighth, MOST_BYTES.shaders);
  return { contents: maxBytes - profiles - shaders, profiles, shaders };
}

/**
 * What all tenants have together, in their folders or in the one of that name within each.
 *
 * @throws where the root or a folder in it cannot be read.
 */
export function summarizeTenants(root = tenantsRoot(), within = ''): TenantsSummary {
  const folders = tenantFolders(root, within);
  return { tenants: folders.length, ...summarize(folders.flatMap((folder) => scanSync(folder))) };
}

/**
 * Deletes all tenants' contents, or their files in the folder `within` theirs, and nothing else that may be in
 * the root.
 *
 * @returns what was deleted.
 * @throws where the root or a folder in it cannot be read, or something in them cannot be deleted.
 */
export function clearTenants(root = tenantsRoot(), within = ''): TenantsSummary {
  return deleted(tenantFolders(root, within).map(clearFolder));
}

/** What the GPU's driver keeps of all tenants' shaders. @throws as summarizeTenants. */
export function summarizeAllShaders(root = tenantsRoot()): TenantsSummary {
  return total(tenantFolders(root, SHADERS).map(summarizeShaders));
}

/** Deletes that. @throws as clearTenants. */
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
