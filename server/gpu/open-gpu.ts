import { tmpdir } from 'node:os';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { isFarlight } from '../../proto/module-mark.js';
import type { AdapterDescription } from '../../proto/session/handshake.js';
import { type ListedAdapter, listedAdapters, noSuchAdapter } from '../../proto/session/listed-adapters.js';
import { mayHaveHardware } from './device-files.js';
import { clearNullBuffers } from './null-gpu.js';
import { ensureVulkanLoader, softwareGpuSupported, withSoftwareGpu } from './software-gpu.js';

/** An open GPU of this machine. */
export interface OpenedGpu {
  /** Lives as long as the process. It keeps the process alive only while it has work. */
  gpu: GPU;
  adapter: AdapterDescription;
  wgslLanguageFeatures: string[];
  /** The choice that opens the same adapter again without searching for it. */
  choice: string;
}

/** SwiftShader's own name. `--adapter` accepts a part of it. */
const SOFTWARE_NAME = 'SwiftShader Device (Subzero)';

/** A name that no adapter has. Asked for it, Dawn lists the names of all adapters. */
const NO_SUCH_NAME = '\u{1f6ab} none';

type Dawn = typeof import('webgpu');

/** Keeps every GPU of this process alive: Dawn polls a GPU that was collected, and crashes. */
const created: GPU[] = [];

/**
 * Opens a GPU of this machine with Dawn.
 *
 * - `auto`: a hardware GPU where there is one, otherwise the embedded software GPU. Where VK_ICD_FILENAMES or
 *   VK_DRIVER_FILES names a Vulkan driver, the GPU of that driver.
 * - `software`: the embedded software GPU.
 * - `null`: executes nothing. It serves to measure overhead.
 * - anything else: the adapter whose name contains it, in letters of any case.
 *
 * @throws FarlightError NO_ADAPTER with one sentence that says why and what to do.
 */
export async function openGpu(choice: string): Promise<OpenedGpu> {
  const dawn = await loadDawn();
  // Mesa's drivers complain on stderr without one.
  process.env.XDG_RUNTIME_DIR ||= tmpdir();
  switch (choice) {
    case 'auto':
      return openAuto(dawn);
    case 'software':
      return openSoftware(dawn);
    case 'null':
      return openNull(dawn);
    default:
      return openNamed(dawn, choice);
  }
}

async function loadDawn(): Promise<Dawn> {
  let dawn: Dawn;
  try {
    dawn = await import('webgpu');
  } catch (cause) {
    const reason = messageOf(cause).split('\n')[0] ?? '';
    if (/Cannot find package 'webgpu'/.test(reason)) {
      throw new FarlightError(
        'NO_ADAPTER',
        `Dawn, which opens the GPU of this machine, is not installed: run npm install webgpu@0.6, or use a host elsewhere with --host`,
        { cause },
      );
    }
    throw new FarlightError(
      'NO_ADAPTER',
      `Dawn (npm package webgpu) could not be loaded on ${process.platform}-${process.arch}: ${reason}; ` +
        `it has builds for Linux (glibc), Windows and macOS: run npm install again, or use a host elsewhere with --host`,
      { cause },
    );
  }
  if (isFarlight(dawn)) {
    throw new FarlightError(
      'NO_ADAPTER',
      `the package webgpu is Farlight itself here, so Dawn, which opens the GPU, is missing; in package.json, make the override ` +
        `"webgpu": { ".": FARLIGHT, "webgpu": "^0.6.2" }, where FARLIGHT is as it is now, and install again, ` +
        `or use a host elsewhere with --host`,
    );
  }
  return dawn;
}

function create(dawn: Dawn, flags: string[]): GPU {
  const gpu = dawn.create(flags);
  created.push(gpu);
  return gpu;
}

async function openAuto(dawn: Dawn): Promise<OpenedGpu> {
  const driverNamed = Boolean(process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES);
  let fallback: OpenedGpu | undefined;
  if (driverNamed || mayHaveHardware()) {
    ensureVulkanLoader();
    const found = await open(dawn, [], 'auto');
    if (found && (driverNamed || !found.adapter.software)) return found;
    fallback = found;
  }
  // On other platforms than linux-x64 the system's software GPU (lavapipe, WARP) is the only one.
  if (!softwareGpuSupported() && fallback) return fallback;
  return openSoftware(dawn);
}

async function openSoftware(dawn: Dawn): Promise<OpenedGpu> {
  const found = await withSoftwareGpu(() => open(dawn, ['backend=vulkan'], 'software'));
  if (found) return found;
  throw new FarlightError(
    'NO_ADAPTER',
    `Dawn could not open the embedded software GPU; find out why with: VK_LOADER_DEBUG=all farlight doctor --adapter software`,
  );
}

async function openNull(dawn: Dawn): Promise<OpenedGpu> {
  const found = await open(dawn, ['backend=null'], 'null');
  if (!found)
    throw new FarlightError(
      'NO_ADAPTER',
      'this build of Dawn has no null backend; name another GPU with --adapter',
    );
  clearNullBuffers(found.gpu);
  const adapter = {
    ...found.adapter,
    name: 'null',
    software: true,
    driver: 'Dawn null backend (executes nothing)',
  };
  return { ...found, adapter };
}

async function openNamed(dawn: Dawn, name: string): Promise<OpenedGpu> {
  if (contains(SOFTWARE_NAME, name)) return openSoftware(dawn);
  ensureVulkanLoader();
  const listed = await adapters(dawn, []);
  const chosen = listed.find((candidate) => contains(candidate.name, name))?.name;
  // Dawn accepts a part of a name, too. Where one adapter's name is part of another's, no flag tells them apart.
  const found = chosen && (await open(dawn, [`adapter=${chosen}`], name));
  if (found) return found;
  const embedded = softwareGpuSupported() && !listed.some((each) => each.name === SOFTWARE_NAME);
  throw noSuchAdapter(
    `no GPU on this machine is called "${name}"; use --adapter auto, or --adapter software for the embedded software GPU`,
    embedded ? [...listed, { backend: 'vulkan', name: SOFTWARE_NAME }] : listed,
  );
}

async function open(dawn: Dawn, flags: string[], choice: string): Promise<OpenedGpu | undefined> {
  const gpu = create(dawn, flags);
  const adapter = await gpu.requestAdapter();
  if (!adapter) return undefined;
  const { info } = adapter;
  await requireDevice(gpu, info.device);
  const names = (await adapters(dawn, flags)).map((each) => each.name);
  return {
    gpu,
    adapter: {
      name: names.find((name) => slug(name) === slug(info.device)) ?? info.device,
      vendor: info.vendor,
      architecture: info.architecture,
      software: info.isFallbackAdapter,
      driver: info.description,
    },
    wgslLanguageFeatures: [...gpu.wgslLanguageFeatures].sort(),
    choice,
  };
}

/**
 * Checks that the GPU gives a device. An adapter whose driver is in trouble gives none, and it is better to know that
 * before a session has it. Uses an adapter of its own, since each gives one device. Takes 5 to 18 ms with SwiftShader.
 *
 * @throws FarlightError NO_ADAPTER
 */
export async function requireDevice(gpu: GPU, name: string): Promise<void> {
  try {
    const adapter = await gpu.requestAdapter();
    const device = await adapter?.requestDevice();
    device?.destroy();
  } catch (cause) {
    const reason = messageOf(cause).split('\n')[0];
    throw new FarlightError(
      'NO_ADAPTER',
      `the GPU ${name} was found but gives no device: ${reason}; repair its driver, or use --adapter software for the embedded software GPU`,
      { cause },
    );
  }
}

/**
 * The adapters by their own names. WebGPU gives a normalised spelling ("swiftshader-device-subzero-"), which Dawn's
 * `adapter` flag does not accept. Dawn lists the names when it is asked for one that does not exist.
 */
async function adapters(dawn: Dawn, flags: string[]): Promise<ListedAdapter[]> {
  const others = flags.filter((flag) => !flag.startsWith('adapter='));
  try {
    await create(dawn, [...others, `adapter=${NO_SUCH_NAME}`]).requestAdapter();
    return [];
  } catch (error) {
    return listedAdapters(messageOf(error));
  }
}

function contains(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}

function slug(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}
