import { GPUTextureFormat } from '../../proto/gen/operations.js';
import { GPUTextureUsage } from '../../proto/gen/webgpu.js';
import { enforceRange, required, toDictionary, toEnum, toSequence } from '../../proto/webidl/converters.js';
import { CANVAS_FORMATS, type CanvasFormat } from './pixels.js';

export type AlphaMode = 'opaque' | 'premultiplied';
export type ColorSpace = 'srgb' | 'display-p3';

/** A converted and complete GPUCanvasConfiguration. */
export interface Configuration {
  readonly device: GPUDevice;
  readonly format: CanvasFormat;
  readonly usage: number;
  readonly viewFormats: readonly GPUTextureFormat[];
  readonly colorSpace: ColorSpace;
  readonly toneMapping: { readonly mode: 'standard' | 'extended' };
  readonly alphaMode: AlphaMode;
}

export const CONFIGURE = 'GPUCanvasContext.configure';

/** @throws TypeError if the value is no GPUCanvasConfiguration. */
export function toConfiguration(
  value: unknown,
  toDevice: (value: unknown, where: string) => GPUDevice,
): Configuration {
  const given = toDictionary(value, 'GPUCanvasConfiguration');
  const { alphaMode = 'opaque', colorSpace = 'srgb', device, format, toneMapping } = given;
  const { usage = GPUTextureUsage.RENDER_ATTACHMENT, viewFormats = [] } = given;
  const { mode = 'standard' } = toDictionary(toneMapping, 'GPUCanvasToneMapping');
  const where = (member: string) => `${CONFIGURE}: ${member}`;
  return {
    alphaMode: toEnum(alphaMode, ['opaque', 'premultiplied'], 'GPUCanvasAlphaMode', where('alphaMode')),
    colorSpace: toEnum(colorSpace, ['srgb', 'display-p3'], 'PredefinedColorSpace', where('colorSpace')),
    device: toDevice(required(device, where('device')), where('device')),
    format: toEnum(
      required(format, where('format')),
      CANVAS_FORMATS,
      'GPUTextureFormat that a canvas may have',
      where('format'),
    ),
    toneMapping: {
      mode: toEnum(mode, ['standard', 'extended'], 'GPUCanvasToneMappingMode', where('toneMapping.mode')),
    },
    usage: enforceRange(usage, 0, 2 ** 32 - 1, 'unsigned long', where('usage')),
    viewFormats: toSequence(
      viewFormats,
      (each) => toEnum(each, GPUTextureFormat, 'GPUTextureFormat', where('viewFormats')),
      where('viewFormats'),
    ) as GPUTextureFormat[],
  };
}
