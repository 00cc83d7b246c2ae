import { readdirSync } from 'node:fs';

/** The files of GPUs on Linux: of NVIDIA's driver, of WSL, and of the kernel's own drivers. */
const DEVICE_FILES = [
  { folder: '/dev', names: /^(nvidia\d+|dxg)$/ },
  { folder: '/dev/dri', names: /^renderD\d+$/ },
];

/** The device files of this machine's hardware GPUs. Only Linux has such files. */
export function gpuDeviceFiles(): string[] {
  return DEVICE_FILES.flatMap(({ folder, names }) =>
    list(folder)
      .filter((name) => names.test(name))
      .map((name) => `${folder}/${name}`),
  );
}

/**
 * Whether this machine may have a hardware GPU. On a Linux PC every GPU has a device file. Where there is none, do not
 * ask the Vulkan loader: it would load every driver (and LLVM), only for us to refuse what they offer.
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
