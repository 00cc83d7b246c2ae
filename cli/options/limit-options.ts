import { type Command, InvalidArgumentError } from 'commander';
import type { LimitChanges, TenantLimits } from '../../server/trust/tenant-limits.js';
import { formatSize, parseSize } from './units.js';

/** `none` lifts a limit. It stays a text, because Commander turns null into an empty text. */
type Limit = number | 'none';

/** The limits of a tenant, as the command line has them. */
export interface LimitOptions {
  maxSessions?: Limit;
  gpuMemory?: Limit;
  memory?: Limit;
  inFlight?: Limit;
  contentBytes?: Limit;
  gpuShare?: Limit;
}

/**
 * Adds the options for a tenant's limits; `whose` begins the help of each.
 *
 * @param none whether a limit can be lifted, so that the limit of all tenants applies.
 */
export function addLimitOptions(command: Command, whose: string, { none = false } = {}): Command {
  const orNone =
    (parse: (text: string) => number) =>
    (text: string): Limit =>
      none && text === 'none' ? text : parse(text);
  return command
    .option(
      '--max-sessions <count>',
      `${whose}sessions at a time (default: 64, as many as the host has)`,
      orNone(parsePositive),
    )
    .option(
      '--gpu-memory <size>',
      `${whose}GPU memory of its buffers and textures, such as 2GiB (default: all there is)`,
      orNone(parseLimit),
    )
    .option(
      '--memory <size>',
      `${whose}memory of the host's machine for all its sessions together (default: as much as one session may have)`,
      orNone(parseLimit),
    )
    .option(
      '--in-flight <size>',
      `${whose}bytes of commands and replies that wait at the host (default: 32MiB for each session)`,
      orNone(parseLimit),
    )
    .option(
      '--content-bytes <size>',
      `${whose}bytes of kept uploads and compiled programs, such as 512MiB (default: 4GiB, or half of the disk)`,
      orNone(parseLimit),
    )
    .option(
      '--gpu-share <weight>',
      `${whose}share of GPU time, as a weight (default: 1)`,
      orNone(parseWeight),
    );
}

/** The limits that the options set; null for those that they lift. */
export function limitChanges(options: LimitOptions): LimitChanges {
  const { maxSessions: sessions, gpuMemory, memory, inFlight, contentBytes: contents, gpuShare } = options;
  const changes = { sessions, gpuMemory, memory, inFlight, contents, gpuShare };
  return Object.fromEntries(
    Object.entries(changes).map(([name, limit]) => [name, limit === 'none' ? null : limit]),
  );
}

/** The same, for a command that cannot lift limits. */
export function tenantLimits(options: LimitOptions): TenantLimits {
  const stated = Object.entries(limitChanges(options)).filter(([, value]) => value !== null);
  return Object.fromEntries(stated);
}

/** Limits as a person would type them. */
export function formatLimits({
  sessions,
  gpuMemory,
  memory,
  inFlight,
  contents,
  gpuShare,
}: TenantLimits): string {
  return [
    sessions && `--max-sessions ${sessions}`,
    gpuMemory && `--gpu-memory ${formatSize(gpuMemory)}`,
    memory && `--memory ${formatSize(memory)}`,
    inFlight && `--in-flight ${formatSize(inFlight)}`,
    contents && `--content-bytes ${formatSize(contents)}`,
    gpuShare && `--gpu-share ${gpuShare}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** A limit is at least 1 byte: only the word `none` lifts one. */
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
