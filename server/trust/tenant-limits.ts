/** What a tenant may have of a host. What is absent is not limited for it alone. */
export interface TenantLimits {
  /** Sessions at a time. */
  sessions?: number | undefined;
  /** Bytes of GPU memory that the buffers and textures of its sessions may take together. */
  gpuMemory?: number | undefined;
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
  'inFlight',
  'blobs',
  'gpuShare',
] as const satisfies (keyof TenantLimits)[];

/** Whether limits that were read are such: numbers above 0, of those names. */
export function areTenantLimits(limits: unknown): limits is TenantLimits {
  if (typeof limits !== 'object' || limits === null) return false;
  return Object.entries(limits).every(
    ([name, value]) => NAMES.some((each) => each === name) && Number.isFinite(value) && value > 0,
  );
}

/** Those limits that are given; undefined where none is. */
export function statedLimits(limits: TenantLimits): TenantLimits | undefined {
  const stated = NAMES.filter((name) => limits[name] !== undefined).map((name) => [name, limits[name]]);
  return stated.length > 0 ? Object.fromEntries(stated) : undefined;
}
