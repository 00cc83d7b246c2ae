import { GPUDevice } from '../api/device/device.js';
import type { create } from '../index.js';
import { replaceModule } from './replace-module.js';

/** Dawn's addon, as npm `webgpu` loads it and as a bundler names its copy. */
const ADDON = /(^|[/\\.-])dawn(-\w+)?\.node$/;

/** npm `webgpu` sets this mark on GPUDevice if destroying a device unmaps its buffers, as ours does. */
const UNMAPS = Symbol.for('webgpu.deviceDestroyUnmapsBuffers');

/** The parts of its addon that npm `webgpu` uses and exports. */
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
 * Makes npm `webgpu` be this Farlight, for a program or a library that imports it. The module itself runs
 * with another addon. So `import`, `require`, every release, and programs that were bundled with it all
 * behave alike.
 */
export function replaceDawn(addon: Addon): void {
  Object.defineProperty(GPUDevice.prototype, UNMAPS, { value: true });
  replaceModule(ADDON, () => addon);
  // Bun loads addons in its own way, but lets us replace a package by its name.
  const { Bun } = globalThis as { Bun?: BunRuntime };
  const isMac = process.platform === 'darwin';
  Bun?.plugin({
    name: 'farlight',
    setup: (build) => build.module('webgpu', () => ({ loader: 'object', exports: { ...addon, isMac } })),
  });
}
