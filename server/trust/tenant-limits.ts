/** The limits of one tenant. A missing one means that the tenant has no limit of its own. */
export interface TenantLimits {
  /** Sessions at a time. */
  sessions?: number | undefined;
  /** Bytes of GPU memory for the buffers and textures of all its sessions. */
  gpuMemory?: number | undefined;
  /** Bytes of the machine's memory for the processes of all its sessions. */
  memory?: number | undefined;
  /** Bytes of commands and replies that may wait at the host, for all its sessions; of requests, at an inference server. */
  inFlight?: number | undefined;
  /** Bytes of its contents on disk. */
  contents?: number | undefined;
  /** Requests for inference that wait or run at a time, at an inference server. */
  waiting?: number | undefined;
  /** Its share of the GPU's time, as a weight among tenants. Default 1. */
  gpuShare?: number | undefined;
}

const NAMES = [
  'sessions',
  'gpuMemory',
  'memory',
  'inFlight',
  'contents',
  'waiting',
  'gpuShare',
] as const satisfies (keyof TenantLimits)[];

/** A change of a tenant's limits by the owner; null returns a limit to the one for all tenants. */
export type LimitChanges = { [Name in keyof TenantLimits]?: TenantLimits[Name] | null };

/** A change of a tenant's limits, and its time. */
export interface LimitChange {
  readonly tenant: string;
  /** ISO 8601. */
  readonly created: string;
  readonly limits: LimitChanges;
}

/** The name of the limit `contents` in files of version 0.1. */
const OLD_CONTENTS = 'blobs';

/** Reads a change of limits from a file's JSON; undefined unless it has known names, and numbers above 0 or null. */
export function parseLimits(json: unknown): LimitChanges | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const { [OLD_CONTENTS]: old, ...rest } = json as Record<string, unknown>;
  const limits: Record<string, unknown> = old === undefined ? rest : { contents: old, ...rest };
  const isLimit = ([name, value]: [string, unknown]) =>
    NAMES.some((each) => each === name) && (value === null || (Number.isFinite(value) && Number(value) > 0));
  return Object.entries(limits).every(isLimit) ? limits : undefined;
}

/** The limits without the missing ones; undefined where there are none. */
export function statedLimits<Limits extends LimitChanges>(limits: Limits): Limits | undefined {
  const stated = NAMES.filter((name) => limits[name] !== undefined).map((name) => [name, limits[name]]);
  return stated.length > 0 ? Object.fromEntries(stated) : undefined;
}

/** The limits after some changes, in any order: the newest change that names a limit decides it. */
export function limitsAfter(changes: readonly LimitChange[]): TenantLimits {
  const byTime = [...changes].sort((a, b) => (a.created < b.created ? -1 : 1));
  const last: LimitChanges = Object.assign({}, ...byTime.map(({ limits }) => limits));
  return Object.fromEntries(Object.entries(last).filter(([, value]) => value !== null));
}
