import type { FarlightDevice } from '../../../proto/gen/operations.js';
import { LIMIT_NAMES } from '../../../proto/gen/webgpu.js';
import { describe, describeInfo } from '../handlers/adapters.js';

/** The features, limits and subgroup sizes that a program was told of an adapter or a device. */
export type Described = Pick<FarlightDevice<never>, 'features' | 'limits'> & {
  /** The smallest and the largest number of invocations in a subgroup. */
  readonly subgroupSizes: readonly [number, number];
};

/** @param info of an adapter, or of a device's adapter. */
export function described(object: GPUAdapter | GPUDevice, info: GPUAdapterInfo): Described {
  const { subgroupMinSize, subgroupMaxSize } = describeInfo(info);
  return { ...describe(object), subgroupSizes: [subgroupMinSize, subgroupMaxSize] };
}

/** Limits of which a smaller one allows more. */
const isAlignment = (name: string) => name.endsWith('Alignment');

/**
 * Why an adapter cannot take the place of another one: it must offer at least the same features and limits. Undefined
 * where it can.
 */
export function offersLess(adapter: Described, known: Described): string | undefined {
  const feature = known.features.find((each) => !adapter.features.includes(each));
  if (feature !== undefined) return `it has no ${feature}`;
  for (const [at, name] of LIMIT_NAMES.entries()) {
    const [offered = 0, needed = 0] = [adapter.limits[at], known.limits[at]];
    if (isAlignment(name) ? offered > needed : offered < needed)
      return `its ${name} is ${offered}, and ${needed} is needed`;
  }
  return undefined;
}

/** Why a device is another than the program knows, by whose features and limits WebGPU checks each call. */
export function differs(device: Described, known: Described): string | undefined {
  const missing = [
    ...known.features.filter((each) => !device.features.includes(each)),
    ...device.features.filter((each) => !known.features.includes(each)),
  ];
  if (missing.length > 0) return `its features differ in ${missing.join(', ')}`;
  const at = LIMIT_NAMES.findIndex((_, index) => device.limits[index] !== known.limits[index]);
  if (at >= 0) return `its ${LIMIT_NAMES[at]} is ${device.limits[at]}, and was ${known.limits[at]}`;
  return otherSubgroups(device, known);
}

/** Why shaders that were written for the subgroups that a program knows may compute something else. */
export function otherSubgroups(offered: Described, known: Described): string | undefined {
  const [least, most] = offered.subgroupSizes;
  const [knownLeast, knownMost] = known.subgroupSizes;
  if (!known.features.includes('subgroups') || (least >= knownLeast && most <= knownMost)) return undefined;
  return `its subgroups have ${least} to ${most} invocations, and had ${knownLeast} to ${knownMost}`;
}
