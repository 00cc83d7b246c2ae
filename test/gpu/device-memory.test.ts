import { describe, expect, it } from 'vitest';
import {
  findDeviceMemory,
  type MachineFacts,
  marginOf,
  nvidiaMemory,
} from '#farlight/server/gpu/device-memory.js';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** A Linux machine with these files and with this output of nvidia-smi. */
function machine(files: Record<string, string> = {}, csv?: string): MachineFacts {
  return {
    platform: 'linux',
    machineBytes: 64 * GIB,
    list: (folder) => {
      const inside = Object.keys(files).filter((file) => file.startsWith(`${folder}/`));
      return [...new Set(inside.map((file) => file.slice(folder.length + 1).split('/')[0] as string))];
    },
    read: (file) => files[file],
    run: async () => csv,
  };
}

const adapter = (vendor: string, name = 'a GPU', software = false) => ({
  name,
  vendor,
  architecture: '',
  software,
  driver: '',
});

const amd = (card: string, vram: string, gtt: string) => ({
  [`/sys/class/drm/${card}/device/vendor`]: '0x1002\n',
  [`/sys/class/drm/${card}/device/mem_info_vram_total`]: `${vram}\n`,
  [`/sys/class/drm/${card}/device/mem_info_gtt_total`]: `${gtt}\n`,
  [`/sys/class/drm/${card}-DP-1/status`]: 'connected\n',
});

const find = (vendor: string, facts: MachineFacts, name?: string) =>
  findDeviceMemory(adapter(vendor, name), facts);

describe("a GPU's memory", () => {
  it('is what nvidia-smi tells of the GPU with its name, in MiB', () => {
    const csv = 'NVIDIA H200, 143771\nNVIDIA GeForce RTX 4090, 24564\n';
    expect(nvidiaMemory(csv, 'NVIDIA GeForce RTX 4090')).toEqual({
      total: 24564 * MIB,
      source: 'nvidia-smi',
    });
    expect(nvidiaMemory(csv, 'nvidia h200')).toMatchObject({ total: 143771 * MIB });
    expect(nvidiaMemory('NVIDIA A100-SXM4-40GB, 40960\n'.repeat(8), 'other')).toMatchObject({
      total: 40 * GIB,
    });
    expect(nvidiaMemory(csv, 'other')).toEqual({
      why: 'the GPUs of NVIDIA in this machine have different amounts',
    });
    for (const nothing of [
      '',
      'Orin, [N/A]\n',
      'Failed to initialize NVML: Driver/library version mismatch\n',
    ]) {
      expect(nvidiaMemory(nothing, 'Orin')).toEqual({ why: 'nvidia-smi tells of no memory' });
    }
  });

  it('is unknown, with the reason, where nvidia-smi cannot be run', async () => {
    expect(await find('nvidia', machine())).toEqual({
      total: undefined,
      capacity: undefined,
      source: 'nvidia-smi cannot be run here',
    });
  });

  it('is what the amdgpu driver tells, less the margin', async () => {
    const files = amd('card0', '17163091968', '33501134848');
    expect(await find('amd', machine(files))).toEqual({
      total: 17163091968,
      capacity: Math.floor((17163091968 / 16) * 15),
      source: 'the amdgpu driver',
    });
  });

  it("is unknown for AMD's GPUs inside a processor, which take the machine's memory, and for unlike ones", async () => {
    const integrated = machine(amd('card0', String(512 * MIB), String(16 * GIB)));
    expect(await find('amd', integrated)).toMatchObject({
      total: undefined,
      source: expect.stringMatching(/part of the processor/),
    });
    const two = machine({ ...amd('card0', String(8 * GIB), '1'), ...amd('card1', String(16 * GIB), '1') });
    expect(await find('amd', two)).toMatchObject({
      total: undefined,
      source: expect.stringMatching(/different amounts/),
    });
  });

  it("is the machine's for Intel's GPUs inside a processor, and the sum of its tiles for others", async () => {
    const device = '/sys/class/drm/card1/device';
    const inside = { [`${device}/vendor`]: '0x8086\n', [`${device}/uevent`]: 'PCI_SLOT_NAME=0000:00:02.0\n' };
    expect(await find('intel', machine(inside))).toMatchObject({ total: 64 * GIB });
    const card = { [`${device}/vendor`]: '0x8086\n', [`${device}/uevent`]: 'PCI_SLOT_NAME=0000:03:00.0\n' };
    const tiles = {
      [`${device}/tile0/physical_vram_size_bytes`]: `${8 * GIB}\n`,
      [`${device}/tile1/physical_vram_size_bytes`]: `${8 * GIB}\n`,
    };
    expect(await find('intel', machine({ ...card, ...tiles }))).toMatchObject({ total: 16 * GIB });
    expect(await find('intel', machine(card))).toMatchObject({ total: undefined });
  });

  it("is the machine's for a software GPU, and unknown for other makers and systems", async () => {
    const software = await findDeviceMemory(adapter('google', 'SwiftShader', true), machine());
    expect(software).toEqual({ total: 64 * GIB, capacity: 60 * GIB, source: "the machine's memory" });
    expect(await find('arm', machine())).toMatchObject({
      total: undefined,
      source: expect.stringMatching(/arm/),
    });
    const mac = { ...machine(), platform: 'darwin' as const };
    expect(await find('apple', mac)).toMatchObject({
      total: undefined,
      source: expect.stringMatching(/darwin/),
    });
  });

  it('leaves a sixteenth free, and at least 256 MiB, but never more than half', () => {
    expect([marginOf(16 * GIB), marginOf(2 * GIB), marginOf(256 * MIB)]).toEqual([GIB, 256 * MIB, 128 * MIB]);
  });
});
