import { ProtocolError } from '../errors.js';

/** When a side packs frames: where the link is slow enough for it to pay, or always where it makes them shorter. */
export type CompressionMode = 'auto' | 'on';

/** What a client asks for in Hello. Absent where it wants no compression. */
export interface CompressionRequest {
  mode: CompressionMode;
  /** What it can encode and decode. */
  encodings: string[];
}

/** What both sides do, as Welcome says. */
export interface Compression {
  mode: CompressionMode;
  encoding: 'brotli';
}

/** What a client asks for: all that this build can. */
export function requestCompression(mode: CompressionMode): CompressionRequest {
  return { mode, encodings: ['brotli'] };
}

/** What a host grants of what a Hello asks for, of which nothing is known yet. */
export function grantCompression(asked: unknown): Compression | undefined {
  if (typeof asked !== 'object' || asked === null) return undefined;
  const { mode, encodings } = asked as Partial<Record<keyof CompressionRequest, unknown>>;
  if (mode !== 'auto' && mode !== 'on') return undefined;
  return Array.isArray(encodings) && encodings.includes('brotli') ? { mode, encoding: 'brotli' } : undefined;
}

/**
 * What a Welcome grants of what was asked for.
 *
 * @throws ProtocolError where it grants something else.
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
