import type {
  FarlightAdapter,
  FarlightDevice,
  GPURequestAdapterOptions,
} from '../../../proto/gen/operations.js';
import { LIMIT_NAMES } from '../../../proto/gen/webgpu.js';
import type { Context } from '../context.js';
import type { Entry } from '../objects.js';

export async function requestAdapter(
  { gpu, objects }: Context,
  _self: Entry,
  [options]: [GPURequestAdapterOptions<never>],
  made: Entry,
): Promise<FarlightAdapter<never> | null> {
  const adapter = await gpu.requestAdapter(options as globalThis.GPURequestAdapterOptions);
  if (!adapter) {
    objects.release(made.id, made.generation);
    return null;
  }
  objects.settle(made, adapter);
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize, isFallbackAdapter } =
    adapter.info;
  return {
    ...describe(adapter),
    info: {
      vendor: vendor ?? '',
      architecture: architecture ?? '',
      device: device ?? '',
      description: description ?? '',
      subgroupMinSize: subgroupMinSize ?? 4,
      subgroupMaxSize: subgroupMaxSize ?? 128,
      isFallbackAdapter: isFallbackAdapter ?? false,
    },
  };
}

export async function requestDevice(
  context: Context,
  self: Entry,
  [descriptor]: [GPUDeviceDescriptor],
  made: Entry,
): Promise<FarlightDevice<never>> {
  const device = await (self.object as GPUAdapter).requestDevice(descriptor);
  context.objects.settle(made, device);
  context.adoptDevice(made, device);
  return describe(device);
}

function describe({ features, limits }: GPUAdapter | GPUDevice): FarlightDevice<never> {
  const values = limits as unknown as Readonly<Record<string, number | undefined>>;
  return {
    features: [...features] as string[],
    // A limit that the implementation does not know is one that it does not restrict nor offer.
    limits: LIMIT_NAMES.map((name) => values[name] ?? 0),
  };
}
