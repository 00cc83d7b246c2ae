/** The limits of one tenant. A missing one means that the tenant has no limit of its own. */
export interface TenantLimits {
  /** Sessions at a time. */
  sessions?: number | undefined;
  /** Bytes of GPU memory for the buffers and textures of all its sessions. */
  gpuMemory?: number | undefined;
  /** Bytes of the machine's memory for the processes of all its sessions. */
  memory?: number | undefined;
  /** Bytes of commands and replies that may wait at the host, for all its sessions. */
  inFlight?: number | undefined;
  /** Bytes of its contents on disk. */
  blobs?: number | undefined;
  /** Its share of the GPU's time, as a weight among tenants. Default 1. */
  gpuShare?: number | undefined;
}

const NAMES = [
  'sessions',
  'gpuMemory',
  'memory',
  'inFlight',
  'blobs',
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

/** Whether a value that was read from a file is such a change: known names, and numbers above 0 or null. */
export function areTenantLimits(limits: unknown): limits is LimitChanges {
  if (typeof limits !== 'object' || limits === null) return false;
  return Object.entries(limits).every(
    ([name, value]) =>
      NAMES.some((each) => each === name) && (value === null || (Number.isFinite(value) && value > 0)),
  );
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
