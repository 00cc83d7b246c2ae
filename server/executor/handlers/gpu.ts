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
import type { Awaited, Context } from './context.js';

export function requestAdapter(
  { gpu, objects, command }: Context,
  _self: Entry,
  [options]: [GPURequestAdapterOptions<never>],
  made: Entry,
): Awaited {
  invariant(command, 'a handler carries a command out');
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
  context: Context,
  self: Entry,
  [descriptor]: [GPUDeviceDescriptor],
  made: Entry,
): Awaited {
  const adapter = self.object as GPUAdapter;
  const { command } = context;
  const asked = requests.get(adapter);
  invariant(command && asked, 'a handler carries a command out, on what another has made');
  const request = deviceRequest(adapter, asked, command);
  const free = handedOn.has(adapter) ? undefined : context.takeDevice(request);
  if (free) handedOn.add(adapter);
  const reply = (device: GPUDevice): FarlightDevice<never> => {
    context.adoptDevice(made, free ?? context.openDevice(device, request));
    return describe(device);
  };
  if (free) return { promise: Promise.resolve(free.device), reply };
  // An adapter gives one device alone; it is for Dawn to say so, also where that one was handed on.
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

/** Adapters that gave a device of an earlier session, and so were not asked for it. */
const handedOn = new WeakSet<GPUAdapter>();

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
