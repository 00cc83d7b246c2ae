import { type Command, InvalidArgumentError } from 'commander';
import type { TenantLimits } from '../server/trust/tenant-limits.js';
import { formatSize, parseSize } from './parse.js';

/** What a tenant may have, as the command line has it. */
export interface LimitOptions {
  maxSessions?: number;
  gpuMemory?: number;
  inFlight?: number;
  blobBytes?: number;
  gpuShare?: number;
}

/** The options for what a tenant may have; `whose` begins what is said of each. */
export function addLimitOptions(command: Command, whose: string): Command {
  return command
    .option(
      '--max-sessions <count>',
      `${whose}sessions at a time (default: what the host has, 64)`,
      parsePositive,
    )
    .option(
      '--gpu-memory <size>',
      `${whose}GPU memory of its buffers and textures, such as 2GiB (default: what there is)`,
      parseSize,
    )
    .option(
      '--in-flight <size>',
      `${whose}bytes that wait at the host, commands and replies (default: 32MiB for each session)`,
      parseSize,
    )
    .option(
      '--blob-bytes <size>',
      `${whose}uploads that are kept, such as 512MiB (default: 4GiB, or half of the disk)`,
      parseSize,
    )
    .option('--gpu-share <weight>', `${whose}GPU time beside others, as a weight (default: 1)`, parseWeight);
}

export function tenantLimits(options: LimitOptions): TenantLimits {
  const { maxSessions: sessions, gpuMemory, inFlight, blobBytes: blobs, gpuShare } = options;
  return { sessions, gpuMemory, inFlight, blobs, gpuShare };
}

/** Limits as they would be typed. */
export function formatLimits({ sessions, gpuMemory, inFlight, blobs, gpuShare }: TenantLimits): string {
  return [
    sessions && `--max-sessions ${sessions}`,
    gpuMemory && `--gpu-memory ${formatSize(gpuMemory)}`,
    inFlight && `--in-flight ${formatSize(inFlight)}`,
    blobs && `--blob-bytes ${formatSize(blobs)}`,
    gpuShare && `--gpu-share ${gpuShare}`,
  ]
    .filter(Boolean)
    .join(' ');
}

function parsePositive(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('Give a whole number from 1 on.');
  return Number(text);
}

function parseWeight(text: string): number {
  const weight = Number(text);
  if (!/^\d{1,4}(\.\d+)?$/.test(text) || weight < 0.01)
    throw new InvalidArgumentError('Give a number from 0.01 on.');
  return weight;
}
