/**
 * The formats that an external image may be copied to: plain colors that can be drawn to, of unorm or float
 * components. Some need a feature, without which there is no valid texture of them that can be drawn to.
 * https://gpuweb.github.io/gpuweb/#dom-gpuqueue-copyexternalimagetotexture
 */
export const EXTERNAL_IMAGE_FORMATS = [
  'r8unorm',
  'r16unorm',
  'r16float',
  'r32float',
  'rg8unorm',
  'rg16unorm',
  'rg16float',
  'rg32float',
  'rgba8unorm',
  'rgba8unorm-srgb',
  'bgra8unorm',
  'bgra8unorm-srgb',
  'rgb10a2unorm',
  'rg11b10ufloat',
  'rgba16unorm',
  'rgba16float',
  'rgba32float',
] as const;

export type ExternalImageFormat = (typeof EXTERNAL_IMAGE_FORMATS)[number];
