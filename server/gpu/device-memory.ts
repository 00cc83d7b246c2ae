import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { machineMemory } from '../../link/machine/machine-memory.js';
import type { AdapterDescription } from '../../proto/session/handshake.js';

/** How much memory a GPU has, in bytes. */
export interface DeviceMemory {
  /** Undefined where nothing tells. */
  total: number | undefined;
  /** The part that sessions may have: all but the margin. */
  capacity: number | undefined;
  /** Where the total is from, or why there is none. */
  source: string;
}

/** A machine's facts about its GPUs; a test gives its own. */
export interface MachineFacts {
  platform: NodeJS.Platform;
  /** Bytes of the machine's memory, or of its container's. */
  machineBytes: number;
  /** The names in a folder; empty where there is no such folder. */
  list(folder: string): string[];
  /** A file's text; undefined where it cannot be read. */
  read(file: string): string | undefined;
  /** A command's output; undefined where it cannot be run. */
  run(command: string, args: readonly string[]): Promise<string | undefined>;
}

type Found = { total: number; source: string } | { why: string };

/** The margin is this part of the total, and at least so many bytes. */
const MARGIN = { part: 1 / 16, least: 256 << 20 } as const;

const MIB = 2 ** 20;
/** nvidia-smi takes up to some seconds where it has to start the driver. */
const COMMAND_MS = 10_000;
/** The kernel's list of GPUs. */
const CARDS = '/sys/class/drm';
/** PCI's numbers of vendors, and the place of a processor's own GPU by Intel. */
const AMD = '0x1002';
const INTEL = '0x8086';
const INTEGRATED_INTEL = '0000:00:02.0';

/**
 * The bytes that a host leaves free because it cannot see their use. Drivers take memory for each process, for alignment,
 * for pipelines and for work in queues, and other programs take some too.
 */
export function marginOf(total: number): number {
  return Math.min(Math.max(total * MARGIN.part, MARGIN.least), total / 2);
}

/**
 * Finds how much memory a GPU has. A software GPU has the machine's. The drivers of AMD and Intel tell it in files of
 * Linux's kernel, and that of NVIDIA by its command. Where a machine has several GPUs of a vendor that the driver does
 * not tell apart, they must have the same amount.
 */
export async function findDeviceMemory(
  { name, vendor, software }: AdapterDescription,
  facts: MachineFacts = THIS_MACHINE,
): Promise<DeviceMemory> {
  const found = software
    ? { total: facts.machineBytes, source: "the machine's memory" }
    : await findHardware(name, vendor, facts);
  if ('why' in found) return { total: undefined, capacity: undefined, source: found.why };
  const { total, source } = found;
  return { total, capacity: Math.floor(total - marginOf(total)), source };
}

async function findHardware(name: string, vendor: string, facts: MachineFacts): Promise<Found> {
  if (/nvidia/i.test(vendor)) {
    const fields = ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits'];
    const csv = await facts.run('nvidia-smi', fields);
    return csv === undefined ? { why: 'nvidia-smi cannot be run here' } : nvidiaMemory(csv, name);
  }
  if (facts.platform !== 'linux') return { why: `nothing tells it on ${facts.platform}` };
  if (/amd|ati/i.test(vendor)) return amdMemory(facts);
  if (/intel/i.test(vendor)) return intelMemory(facts);
  return { why: `nothing tells it for GPUs of ${vendor || 'an unknown vendor'}` };
}

/** The memory of the GPU with this name, from lines such as `NVIDIA H200, 143771`, in MiB. */
export function nvidiaMemory(csv: string, name: string): Found {
  const gpus = csv.split('\n').flatMap((line) => {
    const [, gpu, mib] = /^(.+), *(\d+)\s*$/.exec(line) ?? [];
    return gpu === undefined ? [] : [{ gpu: gpu.trim(), total: Number(mib) * MIB }];
  });
  const named = gpus.filter(({ gpu }) => gpu.toLowerCase() === name.toLowerCase());
  const totals = (named.length > 0 ? named : gpus).map(({ total }) => total);
  return oneOf(totals, 'nvidia-smi', 'NVIDIA');
}

/** The dedicated memory of AMD's GPUs. One inside a processor takes the machine's memory beside the little it has. */
function amdMemory(facts: MachineFacts): Found {
  const totals: number[] = [];
  for (const device of devicesOf(AMD, facts)) {
    const vram = numberIn(facts.read(`${device}/mem_info_vram_total`));
    const shared = numberIn(facts.read(`${device}/mem_info_gtt_total`)) ?? 0;
    if (vram === undefined) continue;
    if (vram <= 2048 * MIB && shared > vram) {
      return { why: "the GPU seems to be part of the processor, and shares the machine's memory" };
    }
    totals.push(vram);
  }
  return oneOf(totals, 'the amdgpu driver', 'AMD');
}

function intelMemory(facts: MachineFacts): Found {
  const totals: number[] = [];
  for (const device of devicesOf(INTEL, facts)) {
    const isIntegrated = facts.read(`${device}/uevent`)?.includes(`PCI_SLOT_NAME=${INTEGRATED_INTEL}`);
    if (isIntegrated) {
      totals.push(facts.machineBytes);
      continue;
    }
    const tiles = facts.list(device).filter((each) => /^tile\d+$/.test(each));
    const sizes = tiles.map((tile) => numberIn(facts.read(`${device}/${tile}/physical_vram_size_bytes`)));
    if (sizes.length === 0 || sizes.includes(undefined))
      return { why: "Intel's driver does not tell it here" };
    totals.push(sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0));
  }
  return oneOf(totals, "Intel's driver, or the machine's memory", 'Intel');
}

/** The folders of the GPUs with this vendor's number. */
function devicesOf(vendor: string, { list, read }: MachineFacts): string[] {
  const cards = list(CARDS).filter((name) => /^card\d+$/.test(name));
  return cards
    .map((card) => `${CARDS}/${card}/device`)
    .filter((device) => read(`${device}/vendor`)?.trim() === vendor);
}

/** The total of a GPU that is one of several. */
function oneOf(totals: readonly number[], source: string, maker: string): Found {
  const [total] = totals;
  if (total === undefined || total === 0) return { why: `${source} tells of no memory` };
  if (totals.some((each) => each !== total)) {
    return { why: `the GPUs of ${maker} in this machine have different amounts` };
  }
  return { total, source };
}

function numberIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : undefined;
}

const THIS_MACHINE: MachineFacts = {
  platform: process.platform,
  get machineBytes() {
    return machineMemory();
  },
  list(folder) {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  },
  read(file) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return undefined;
    }
  },
  run: (command, args) =>
    new Promise((resolve) => {
      execFile(command, args, { timeout: COMMAND_MS }, (error, output) =>
        resolve(error ? undefined : output),
      );
    }),
};
