import { invariant } from '../../../proto/errors.js';
import type {
  FarlightAdapter,
  FarlightAdapterInfo,
  FarlightDevice,
  GPURequestAdapterOptions,
} from '../../../proto/gen/operations.js';
import { LIMIT_NAMES } from '../../../proto/gen/webgpu.js';
import type { Entry } from '../objects/object-table.js';
import { type AdapterRequest, adapterRequest, deviceRequest } from '../reuse/device-request.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { PendingReply } from '../wire/reply-writer.js';
import type { Context } from './context.js';

export function requestAdapter(
  { gpu, objects }: Context,
  _self: Entry,
  [options]: [GPURequestAdapterOptions<never>],
  made: Entry,
  command: DecodedCommand,
): PendingReply {
  const request = adapterRequest(command);
  const reply = (adapter: GPUAdapter | null): FarlightAdapter<never> | null => {
    if (!adapter) {
      objects.release(made.id);
      return null;
    }
    requests.set(adapter, request);
    made.object = adapter;
    return { ...describe(adapter), info: describeInfo(adapter.info) };
  };
  return { promise: gpu.requestAdapter(options as globalThis.GPURequestAdapterOptions), reply };
}

export function requestDevice(
  { devices }: Context,
  self: Entry,
  [descriptor]: [GPUDeviceDescriptor],
  made: Entry,
  command: DecodedCommand,
): PendingReply {
  const adapter = self.object as GPUAdapter;
  const asked = requests.get(adapter);
  invariant(asked, 'requestAdapter noted how the adapter was asked for');
  const request = deviceRequest(adapter, asked, command);
  const free = handedOn.has(adapter) ? undefined : devices.take(request);
  if (free) handedOn.add(adapter);
  const reply = (device: GPUDevice): FarlightDevice<never> => {
    devices.adopt(made, free ?? devices.open(device, request));
    return describe(device);
  };
  if (free) return { promise: Promise.resolve(free.device), reply };
  // An adapter gives one device, and Dawn must say so. Where the adapter gave a free device, use Dawn's up first.
  const spent = handedOn.delete(adapter)
    ? adapter.requestDevice().then((device) => device.destroy())
    : undefined;
  const promise = spent
    ? spent.then(() => adapter.requestDevice(descriptor))
    : adapter.requestDevice(descriptor);
  return { promise, reply };
}

/** How each adapter was asked for. */
const requests = new WeakMap<GPUAdapter, AdapterRequest>();

/** Adapters that gave a free device. Dawn does not know of it. */
const handedOn = new WeakSet<GPUAdapter>();

/** For an unknown value it has the specification's: an empty string, or the smallest and the largest size. */
export function describeInfo(info: GPUAdapterInfo): FarlightAdapterInfo<never> {
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

export function describe({ features, limits }: GPUAdapter | GPUDevice): FarlightDevice<never> {
  const values = limits as unknown as Readonly<Record<string, number | undefined>>;
  return {
    features: [...features] as string[],
    // A limit that the implementation does not know is 0.
    limits: LIMIT_NAMES.map((name) => values[name] ?? 0),
  };
}
