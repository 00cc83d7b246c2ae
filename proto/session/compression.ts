import { ProtocolError } from '../errors.js';

/** When a side packs frames: where the link is slow enough for it to pay, or always where it makes them shorter. */
export type CompressionMode = 'auto' | 'on';

/** The compression that a client asks for in Hello. Absent if it wants none. */
export interface CompressionRequest {
  mode: CompressionMode;
  /** The encodings that the client can write and read. */
  encodings: string[];
}

/** The compression that both sides use, as Welcome says. */
export interface Compression {
  mode: CompressionMode;
  encoding: 'brotli';
}

/** Asks for every encoding of this build. */
export function requestCompression(mode: CompressionMode): CompressionRequest {
  return { mode, encodings: ['brotli'] };
}

/** The compression that a host grants. `asked` comes from a Hello and may be anything. */
export function grantCompression(asked: unknown): Compression | undefined {
  if (typeof asked !== 'object' || asked === null) return undefined;
  const { mode, encodings } = asked as Partial<Record<keyof CompressionRequest, unknown>>;
  if (mode !== 'auto' && mode !== 'on') return undefined;
  return Array.isArray(encodings) && encodings.includes('brotli') ? { mode, encoding: 'brotli' } : undefined;
}

/**
 * The compression that a Welcome grants.
 *
 * @throws ProtocolError if the client did not ask for it.
 */
export function grantedCompression(
  granted: unknown,
  asked: CompressionRequest | undefined,
): Compression | undefined {
  if (granted === undefined) return undefined;
  const { mode, encoding } = (granted ?? {}) as Partial<Record<keyof Compression, unknown>>;
  if (!asked || mode !== asked.mode || encoding !== 'brotli') {
    throw new ProtocolError('Welcome grants compression that was not asked for');
  }
  return { mode: asked.mode, encoding };
}
