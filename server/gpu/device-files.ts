import { readdirSync } from 'node:fs';

/** Where Linux lists GPUs: NVIDIA's driver, the kernel's own drivers, and WSL. */
const DEVICE_FILES = [
  { folder: '/dev', names: /^(nvidia\d+|dxg)$/ },
  { folder: '/dev/dri', names: /^renderD\d+$/ },
];

/** The device files of this machine's hardware GPUs; none elsewhere than on Linux. */
export function gpuDeviceFiles(): string[] {
  return DEVICE_FILES.flatMap(({ folder, names }) =>
    list(folder)
      .filter((name) => names.test(name))
      .map((name) => `${folder}/${name}`),
  );
}

/**
 * Whether this machine may have a hardware GPU. On a Linux PC one always has a device file; without
 * any, asking the Vulkan loader would load every driver (LLVM among them) only to turn down what
 * they offer.
 */
export function mayHaveHardware(): boolean {
  if (process.platform !== 'linux' || process.arch !== 'x64') return true;
  return gpuDeviceFiles().length > 0;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
