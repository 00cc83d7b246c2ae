import { GPUDevice } from '../api/device/device.js';
import type { create } from '../index.js';
import { replaceModule } from './replace-module.js';

/** Dawn's addon as npm `webgpu` loads it, and as a bundler names its copy. */
const ADDON = /(^|[/\\.-])dawn(-\w+)?\.node$/;

/** npm `webgpu` marks a GPUDevice whose buffers it need not unmap when the device is destroyed: ours are unmapped. */
const UNMAPS = Symbol.for('webgpu.deviceDestroyUnmapsBuffers');

/** What npm `webgpu` has of its addon, and exports. */
interface Addon {
  create: typeof create;
  globals: object;
}

interface BunRuntime {
  plugin(options: { name: string; setup(build: BunBuild): void }): void;
}

interface BunBuild {
  module(name: string, load: () => { loader: 'object'; exports: object }): void;
}

/**
 * Has npm `webgpu`, which a program or a library imports, be this Farlight. Its own module runs, with another addon: so
 * `import` and `require`, every release, and a program that was bundled with it are all the same.
 */
export function replaceDawn(addon: Addon): void {
  Object.defineProperty(GPUDevice.prototype, UNMAPS, { value: true });
  replaceModule(ADDON, () => addon);
  // Bun loads addons in a way of its own, and lets a package be given by its name.
  const { Bun } = globalThis as { Bun?: BunRuntime };
  const isMac = process.platform === 'darwin';
  Bun?.plugin({
    name: 'farlight',
    setup: (build) => build.module('webgpu', () => ({ loader: 'object', exports: { ...addon, isMac } })),
  });
}
