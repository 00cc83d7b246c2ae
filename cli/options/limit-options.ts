import { type Command, InvalidArgumentError, Option } from 'commander';
import type { LimitChanges, TenantLimits } from '../../server/trust/tenant-limits.js';
import { formatSize, parseSize, wholeNumber } from './units.js';

/** `none` lifts a limit. It stays a text, because Commander turns null into an empty text. */
type Limit = number | 'none';

interface LimitOption {
  readonly flag: string;
  readonly value: string;
  readonly help: string;
  readonly parse: (text: string) => number;
  readonly format: (limit: number) => string;
}

/** The option of each limit of a tenant. */
const OPTIONS: { readonly [Name in keyof TenantLimits]-?: LimitOption } = {
  sessions: {
    flag: '--max-sessions',
    value: '<count>',
    help: 'sessions at a time (default: 64, as many as the host has)',
    parse: wholeNumber(1, 999_999),
    format: String,
  },
  gpuMemory: {
    flag: '--gpu-memory',
    value: '<size>',
    help: 'GPU memory of its buffers and textures, such as 2GiB (default: all there is)',
    parse: parseBytes,
    format: formatSize,
  },
  memory: {
    flag: '--memory',
    value: '<size>',
    help: "memory of the host's machine for all its sessions together (default: as much as one session may have)",
    parse: parseBytes,
    format: formatSize,
  },
  inFlight: {
    flag: '--in-flight',
    value: '<size>',
    help: 'bytes of commands and replies that wait at a host (default: 32MiB for each session), or of requests at an inference server',
    parse: parseBytes,
    format: formatSize,
  },
  contents: {
    flag: '--content-bytes',
    value: '<size>',
    help: 'bytes of kept uploads and compiled programs, such as 512MiB (default: 4GiB, or half of the disk)',
    parse: parseBytes,
    format: formatSize,
  },
  waiting: {
    flag: '--max-waiting',
    value: '<count>',
    help: 'requests for inference that wait or run at a time (default: as many as the server has room for)',
    parse: wholeNumber(1, 999_999),
    format: String,
  },
  gpuShare: {
    flag: '--gpu-share',
    value: '<weight>',
    help: 'share of GPU time, as a weight (default: 1)',
    parse: parseWeight,
    format: String,
  },
};
const NAMES = Object.keys(OPTIONS) as (keyof TenantLimits)[];

/** The limits of a host's tenants, and the limits of all tenants of an inference server. */
export const HOST_LIMITS = NAMES.filter((name) => name !== 'waiting');
export const INFERENCE_LIMITS = ['waiting', 'inFlight'] as const;

/**
 * Adds the options for a tenant's limits; `whose` begins the help of each.
 *
 * @param names the limits that there are here; all if left out.
 * @param none whether a limit can be lifted, so that the limit of all tenants applies.
 */
export function addLimitOptions(
  command: Command,
  whose: string,
  { names = NAMES, none = false }: { names?: readonly (keyof TenantLimits)[]; none?: boolean } = {},
): Command {
  for (const name of names) {
    const { flag, value, help, parse } = OPTIONS[name];
    const orNone = (text: string): Limit => (none && text === 'none' ? text : parse(text));
    command.option(`${flag} ${value}`, `${whose}${help}`, orNone);
  }
  return command;
}

/** The limits that Commander's options set; null for each limit that they lift. */
export function limitChanges(options: object, names: readonly (keyof TenantLimits)[] = NAMES): LimitChanges {
  const given = options as Readonly<Record<string, Limit | undefined>>;
  const changes = names.map((name) => {
    const limit = given[new Option(OPTIONS[name].flag).attributeName()];
    return [name, limit === 'none' ? null : limit];
  });
  return Object.fromEntries(changes);
}

/** The same, for a command that cannot lift limits. */
export function tenantLimits(options: object, names: readonly (keyof TenantLimits)[] = NAMES): TenantLimits {
  const stated = Object.entries(limitChanges(options, names)).filter(([, value]) => value !== null);
  return Object.fromEntries(stated);
}

/** Limits as a person would type them. */
export function formatLimits(limits: TenantLimits): string {
  const texts = NAMES.map((name) => {
    const limit = limits[name];
    return limit === undefined ? '' : `${OPTIONS[name].flag} ${OPTIONS[name].format(limit)}`;
  });
  return texts.filter(Boolean).join(' ');
}

/** A limit is at least 1 byte: only the word `none` lifts one. */
export function parseBytes(text: string): number {
  const bytes = parseSize(text);
  if (bytes === 0) throw new InvalidArgumentError('Give a size from 1 byte on.');
  return bytes;
}

function parseWeight(text: string): number {
  const weight = Number(text);
  if (!/^\d{1,4}(\.\d+)?$/.test(text) || weight < 0.01)
    throw new InvalidArgumentError('Give a number from 0.01 on.');
  return weight;
}
