import { mkdirSync } from 'node:fs';
import type { BoundedFolder } from '../../proto/handshake.js';
import { trimShaders } from './shader-folder.js';

/**
 * Where drivers keep the shaders that they have compiled: Mesa's, NVIDIA's, AMD's. Each keeps less than the folder may
 * have, as far as it can be told, so that it need not be emptied.
 */
const WHERE: readonly ((folder: string, bytes: number) => Readonly<Record<string, string>>)[] = [
  (folder, bytes) => ({
    MESA_SHADER_CACHE_DIR: folder,
    MESA_SHADER_CACHE_MAX_SIZE: `${Math.floor(bytes / 1024)}K`,
  }),
  (folder, bytes) => ({
    __GL_SHADER_DISK_CACHE_PATH: folder,
    __GL_SHADER_DISK_CACHE_SIZE: String(bytes),
  }),
  (folder) => ({ AMD_SHADER_DISK_CACHE_PATH: folder }),
];

const NOWHERE = { MESA_SHADER_CACHE_DISABLE: 'true', __GL_SHADER_DISK_CACHE: '0' };

/**
 * Says to the GPU's driver where it keeps compiled shaders, before it is loaded: in a folder of the tenant's, so that no
 * tenant finds out what another has compiled, or nowhere. A driver reads this once.
 */
export function keepShaders(where: BoundedFolder | 'nowhere'): void {
  Object.assign(process.env, where === 'nowhere' ? NOWHERE : variables(where));
}

function variables({ path, maxBytes }: BoundedFolder): Readonly<Record<string, string>> {
  try {
    trimShaders(path, maxBytes);
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch {
    return NOWHERE;
  }
  const bytes = Math.floor((maxBytes * 3) / 4);
  return Object.assign({}, ...WHERE.map((of) => of(path, bytes)));
}
