export const WORD_BYTES = 4;

/** How a format's texels lie in words of 32 bits. A piece keeps the values that a shader reads. */
export interface TexelWords {
  /** The type of a component in a shader. */
  readonly type: 'f32' | 'i32' | 'u32';
  readonly components: number;
  /** Four components of 8 bits share a word. */
  readonly isPacked: boolean;
  readonly isDepth: boolean;
}

/** The words of a texel of a format that shaders can read. */
export function texelWords(format: string): TexelWords {
  if (format.startsWith('depth')) return { type: 'f32', components: 1, isPacked: false, isDepth: true };
  const type = format.includes('uint') ? 'u32' : format.includes('sint') ? 'i32' : 'f32';
  const [, names = 'rgba'] = /^(rgba|bgra|rg|r)\d+(?:u|s|f)/.exec(format) ?? [];
  const isPacked = format === 'rgba8unorm' || format === 'bgra8unorm';
  return { type, components: names.length, isPacked, isDepth: false };
}

/** The bytes of one sample of a texel. */
export function bytesOfTexel(format: string): number {
  const { components, isPacked } = texelWords(format);
  return isPacked ? WORD_BYTES : WORD_BYTES * components;
}
