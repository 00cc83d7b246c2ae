import type {
  FarlightAdapter,
  FarlightAdapterInfo,
  FarlightDevice,
  GPURequestAdapterOptions,
} from '../../../proto/gen/operations.js';
import { LIMIT_NAMES } from '../../../proto/gen/webgpu.js';
import type { Awaited, Context } from '../context.js';
import type { Entry } from '../objects.js';

export function requestAdapter(
  { gpu, objects }: Context,
  _self: Entry,
  [options]: [GPURequestAdapterOptions<never>],
  made: Entry,
): Awaited {
  const reply = (adapter: GPUAdapter | null): FarlightAdapter<never> | null => {
    if (!adapter) {
      objects.release(made.id);
      return null;
    }
    made.object = adapter;
    return { ...describe(adapter), info: describeInfo(adapter.info) };
  };
  return { promise: gpu.requestAdapter(options as globalThis.GPURequestAdapterOptions), reply };
}

export function requestDevice(
  context: Context,
  self: Entry,
  [descriptor]: [GPUDeviceDescriptor],
  made: Entry,
): Awaited {
  const reply = (device: GPUDevice): FarlightDevice<never> => {
    context.adoptDevice(made, device);
    return describe(device);
  };
  return { promise: (self.object as GPUAdapter).requestDevice(descriptor), reply };
}

/** All four strings are always strings, and the sizes numbers: the specification's own values where unknown. */
function describeInfo(info: GPUAdapterInfo): FarlightAdapterInfo<never> {
  return {
    vendor: info.vendor ?? '',
    architecture: info.architecture ?? '',
    device: info.device ?? '',
    description: info.description ?? '',
    subgroupMinSize: info.subgroupMinSize ?? 4,
    subgroupMaxSize: info.subgroupMaxSize ?? 128,
    isFallbackAdapter: info.isFallbackAdapter ?? false,
  };
}

function describe({ features, limits }: GPUAdapter | GPUDevice): FarlightDevice<never> {
  const values = limits as unknown as Readonly<Record<string, number | undefined>>;
  return {
    features: [...features] as string[],
    // A limit that the implementation does not know is one that it does not restrict nor offer.
    limits: LIMIT_NAMES.map((name) => values[name] ?? 0),
  };
}
