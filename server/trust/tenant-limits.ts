/** What a tenant may have of a host. What is absent is not limited for it alone. */
export interface TenantLimits {
  /** Sessions at a time. */
  sessions?: number | undefined;
  /** Bytes of GPU memory that the buffers and textures of its sessions may take together. */
  gpuMemory?: number | undefined;
  /** Bytes of the machine's memory that the processes of its sessions may take together. */
  memory?: number | undefined;
  /** Bytes that its sessions may have waiting at the host, as commands and as replies, together. */
  inFlight?: number | undefined;
  /** Bytes of its uploads that are kept on disk. */
  blobs?: number | undefined;
  /** Its share of the GPU's time beside others', as a weight. Default 1. */
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

/** What the owner says of a tenant's limits at one time; null: what all may have, from now on. */
export type LimitChanges = { [Name in keyof TenantLimits]?: TenantLimits[Name] | null };

/** What was said of a tenant's limits, and when. */
export interface LimitChange {
  readonly tenant: string;
  /** ISO 8601. */
  readonly created: string;
  readonly limits: LimitChanges;
}

/** Whether limits that were read are such: numbers above 0, or null, of those names. */
export function areTenantLimits(limits: unknown): limits is LimitChanges {
  if (typeof limits !== 'object' || limits === null) return false;
  return Object.entries(limits).every(
    ([name, value]) =>
      NAMES.some((each) => each === name) && (value === null || (Number.isFinite(value) && value > 0)),
  );
}

/** Those limits that are given; undefined where none is. */
export function statedLimits<Limits extends LimitChanges>(limits: Limits): Limits | undefined {
  const stated = NAMES.filter((name) => limits[name] !== undefined).map((name) => [name, limits[name]]);
  return stated.length > 0 ? Object.fromEntries(stated) : undefined;
}

/** What holds after those changes, given in any order: the newest that names a limit decides on it. */
export function limitsAfter(changes: readonly LimitChange[]): TenantLimits {
  const byTime = [...changes].sort((a, b) => (a.created < b.created ? -1 : 1));
  const last: LimitChanges = Object.assign({}, ...byTime.map(({ limits }) => limits));
  return Object.fromEntries(Object.entries(last).filter(([, value]) => value !== null));
}
