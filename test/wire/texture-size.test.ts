import { describe, expect, it } from 'vitest';
import { GPUTextureFormat } from '#farlight/proto/gen/operations.js';
import { blockOf, textureBytes } from '#farlight/proto/texture-size.js';

describe('the bytes of a texture', () => {
  it.each([
    ['one texel', { format: 'rgba8unorm', size: [1] }, 4],
    ['a size as a dictionary', { format: 'rgba8unorm', size: { width: 3, height: 2 } }, 24],
    ['layers', { format: 'r32float', size: [4, 4, 6] }, 4 * 16 * 6],
    ['samples', { format: 'rgba8unorm', size: [8, 8], sampleCount: 4 }, 4 * 64 * 4],
    ['mip levels', { format: 'rgba8unorm', size: [4, 4], mipLevelCount: 3 }, 4 * (16 + 4 + 1)],
    [
      'mip levels of an uneven size',
      { format: 'r8unorm', size: [5, 3], mipLevelCount: 3 },
      5 * 3 + 2 * 1 + 1 * 1,
    ],
    [
      'mip levels of a volume',
      { format: 'rgba16float', size: [4, 4, 4], dimension: '3d', mipLevelCount: 2 },
      8 * (64 + 8),
    ],
    [
      'mip levels of layers, which stay',
      { format: 'rgba8unorm', size: [2, 2, 3], mipLevelCount: 2 },
      4 * (4 + 1) * 3,
    ],
    ['whole blocks', { format: 'bc1-rgba-unorm', size: [5, 4] }, 2 * 8],
    ['blocks of another shape', { format: 'astc-10x5-unorm', size: [20, 11] }, 2 * 3 * 16],
    ['packed formats', { format: 'rg11b10ufloat', size: [2, 2] }, 16],
    ['depth and stencil', { format: 'depth32float-stencil8', size: [2, 1] }, 16],
    ['more levels than there can be', { format: 'r8unorm', size: [2, 2], mipLevelCount: 2 ** 32 - 1 }, 5],
  ] as const)('are those of %s', (_name, texture, bytes) => {
    expect(textureBytes(texture as Parameters<typeof textureBytes>[0])).toBe(bytes);
  });

  it('the bytes of a texture are known for every format', () => {
    const unknown = GPUTextureFormat.filter((format) => !blockOf(format) && !/depth|stencil/.test(format));
    expect(unknown).toEqual([]);
    for (const format of GPUTextureFormat) {
      const bytes = textureBytes({ format, size: [1, 1] });
      expect(bytes, format).toBeGreaterThanOrEqual(1);
      expect(bytes, format).toBeLessThanOrEqual(16);
    }
  });
});
