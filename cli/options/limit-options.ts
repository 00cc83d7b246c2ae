import { type Command, InvalidArgumentError } from 'commander';
import type { LimitChanges, TenantLimits } from '../../server/trust/tenant-limits.js';
import { formatSize, parseSize } from './units.js';

/** `none` where the limit is lifted: Commander makes an empty text of null. */
type Limit = number | 'none';

/** What a tenant may have, as the command line has it. */
export interface LimitOptions {
  maxSessions?: Limit;
  gpuMemory?: Limit;
  memory?: Limit;
  inFlight?: Limit;
  blobBytes?: Limit;
  gpuShare?: Limit;
}

/**
 * The options for what a tenant may have; `whose` begins what is said of each.
 *
 * @param none whether a limit can be lifted, so that the tenant has what all have.
 */
export function addLimitOptions(command: Command, whose: string, { none = false } = {}): Command {
  const orNone =
    (parse: (text: string) => number) =>
    (text: string): Limit =>
      none && text === 'none' ? text : parse(text);
  return command
    .option(
      '--max-sessions <count>',
      `${whose}sessions at a time (default: what the host has, 64)`,
      orNone(parsePositive),
    )
    .option(
      '--gpu-memory <size>',
      `${whose}GPU memory of its buffers and textures, such as 2GiB (default: what there is)`,
      orNone(parseLimit),
    )
    .option(
      '--memory <size>',
      `${whose}memory of the host's machine that the processes of its sessions take together (default: what one may have)`,
      orNone(parseLimit),
    )
    .option(
      '--in-flight <size>',
      `${whose}bytes that wait at the host, commands and replies (default: 32MiB for each session)`,
      orNone(parseLimit),
    )
    .option(
      '--blob-bytes <size>',
      `${whose}uploads and compiled programs that are kept, such as 512MiB (default: 4GiB, or half of the disk)`,
      orNone(parseLimit),
    )
    .option(
      '--gpu-share <weight>',
      `${whose}GPU time beside others, as a weight (default: 1)`,
      orNone(parseWeight),
    );
}

/** What was said of a tenant's limits. */
export function limitChanges(options: LimitOptions): LimitChanges {
  const { maxSessions: sessions, gpuMemory, memory, inFlight, blobBytes: blobs, gpuShare } = options;
  const changes = { sessions, gpuMemory, memory, inFlight, blobs, gpuShare };
  return Object.fromEntries(
    Object.entries(changes).map(([name, limit]) => [name, limit === 'none' ? null : limit]),
  );
}

/** The same where none of them can be lifted. */
export function tenantLimits(options: LimitOptions): TenantLimits {
  const stated = Object.entries(limitChanges(options)).filter(([, value]) => value !== null);
  return Object.fromEntries(stated);
}

/** Limits as they would be typed. */
export function formatLimits({
  sessions,
  gpuMemory,
  memory,
  inFlight,
  blobs,
  gpuShare,
}: TenantLimits): string {
  return [
    sessions && `--max-sessions ${sessions}`,
    gpuMemory && `--gpu-memory ${formatSize(gpuMemory)}`,
    memory && `--memory ${formatSize(memory)}`,
    inFlight && `--in-flight ${formatSize(inFlight)}`,
    blobs && `--blob-bytes ${formatSize(blobs)}`,
    gpuShare && `--gpu-share ${gpuShare}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** A limit is of something: that there is none is said by another word, where it can be said. */
function parseLimit(text: string): number {
  const bytes = parseSize(text);
  if (bytes === 0) throw new InvalidArgumentError('Give a size from 1 byte on.');
  return bytes;
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
