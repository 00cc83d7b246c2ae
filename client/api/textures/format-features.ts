import type { ClientResource } from '../../session/client-resource.js';
import type { DeviceResource } from '../device/device-resource.js';
import { deviceOf } from '../interface.js';

const BY_PREFIX: readonly [prefix: RegExp, feature: GPUFeatureName][] = [
  [/^bc\d/, 'texture-compression-bc'],
  [/^(etc2|eac)-/, 'texture-compression-etc2'],
  [/^astc-/, 'texture-compression-astc'],
  [/^(r|rg|rgba)16[us]norm$/, 'texture-formats-tier1' as GPUFeatureName],
  [/^depth32float-stencil8$/, 'depth32float-stencil8'],
];

/**
 * The steps "validate texture format required features". They throw a TypeError instead of a GPU error.
 * https://gpuweb.github.io/gpuweb/#abstract-opdef-validate-texture-format-required-features
 *
 * @param parent The device, or an object of it.
 */
export function requireFormats(
  parent: ClientResource,
  where: string,
  formats: readonly (string | null | undefined)[],
): void {
  const { features } = deviceOf(parent) as DeviceResource;
  for (const format of formats) {
    const needed = format && BY_PREFIX.find(([prefix]) => prefix.test(format))?.[1];
    if (needed && !features.has(needed)) {
      throw new TypeError(
        `${where}: the format '${format}' needs the feature '${needed}', and the device was requested without it`,
      );
    }
  }
}
