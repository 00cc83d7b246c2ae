// `node --import ./test/support/local-dawn.mjs program.mjs` runs a program on this machine's own GPU through
// npm `webgpu`. What a program prints here is what it must print through Farlight.
//
// FARLIGHT_TEST_ICD           the Vulkan driver to use (an icd json), through the system's Vulkan loader
// FARLIGHT_TEST_SOFTWARE_GPU  or a folder that holds libvulkan.so.1, a driver and its icd json
// neither                     whichever GPU Dawn finds
import { readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { stayAwakeWhileCompiling } from '#farlight/client/node/wasm-compilation.js';
import { copyOutOfSharedMemory } from './shared-memory.mjs';

// Worker threads inherit --import, but frameworks leave the GPU to the main thread.
if (isMainThread) {
  chooseDriver();
  const { create, globals } = await import('webgpu');
  copyOutOfSharedMemory(globals);
  stayAwakeWhileCompiling();
  wholeFeatures(globals);
  Object.assign(globalThis, globals);
  installNavigator(create([]));
}

function chooseDriver() {
  const { FARLIGHT_TEST_ICD: icd, FARLIGHT_TEST_SOFTWARE_GPU: folder } = process.env;
  process.env.XDG_RUNTIME_DIR ??= os.tmpdir(); // Mesa complains on stderr without it.
  if (icd) {
    process.env.VK_ICD_FILENAMES = icd;
  } else if (folder) {
    const json = readdirSync(folder).find((name) => name.endsWith('_icd.json'));
    if (!json) throw new Error(`no *_icd.json in FARLIGHT_TEST_SOFTWARE_GPU (${folder})`);
    process.env.VK_ICD_FILENAMES = path.join(folder, json);
    preload(path.join(folder, 'libvulkan.so.1'));
  }
}

/**
 * Dawn opens `libvulkan.so.1` by name. A library that is loaded already answers to its name, so this stands in
 * for LD_LIBRARY_PATH, which is only read when a process starts. It is no Node addon: Node refuses it after
 * having loaded it, and RTLD_NODELETE keeps it loaded then.
 */
function preload(library) {
  const RTLD_NODELETE = 0x1000;
  try {
    process.dlopen({ exports: {} }, library, os.constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    if (!/did not self-register/.test(error.message)) throw error;
  }
}

/** Babylon.js walks the features of an adapter by a method of setlikes that npm `webgpu` lacks. */
function wholeFeatures({ GPUSupportedFeatures: { prototype } }) {
  prototype.forEach ??= function (callback) {
    for (const feature of this.keys()) callback(feature, feature, this);
  };
}

/** Node 20 has no navigator. Newer ones have one behind a getter, which can be extended but not assigned to. */
function installNavigator(gpu) {
  if (!globalThis.navigator) {
    const navigator = {
      userAgent: `Node.js/${process.versions.node.split('.')[0]}`,
      hardwareConcurrency: os.availableParallelism(),
    };
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true, writable: true });
  }
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true, enumerable: true });
}
