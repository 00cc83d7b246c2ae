import type { GPUQuerySetDescriptor } from '../../../proto/gen/operations.js';
import { ClientResource } from '../../session/client-resource.js';
import type { DeviceResource } from '../device/device-resource.js';
import {
  defineInterface,
  defineObjectBase,
  defineResource,
  deviceOf,
  illegal,
  receiver,
} from '../interface.js';

class QuerySetResource extends ClientResource {
  readonly type: GPUQueryType;
  readonly count: number;

  constructor(device: ClientResource, descriptor: GPUQuerySetDescriptor<unknown>) {
    super(device.session, 'GPUQuerySet', deviceOf(device), descriptor.label);
    this.type = descriptor.type;
    this.count = descriptor.count;
  }
}

/** https://gpuweb.github.io/gpuweb/#gpuqueryset */
export class GPUQuerySet {
  declare label: string;

  constructor() {
    illegal();
  }

  get type(): GPUQueryType {
    return (receiver(this, 'GPUQuerySet', 'type') as QuerySetResource).type;
  }

  get count(): number {
    return (receiver(this, 'GPUQuerySet', 'count') as QuerySetResource).count;
  }
}

defineResource<GPUQuerySetDescriptor<unknown>>('GPUQuerySet', (device, descriptor) => {
  const { features } = device as DeviceResource;
  if (descriptor.type === 'timestamp' && !features.has('timestamp-query')) {
    throw new TypeError("GPUDevice.createQuerySet: type 'timestamp' needs the feature 'timestamp-query'.");
  }
  return new QuerySetResource(device, descriptor);
});
defineObjectBase(GPUQuerySet, 'GPUQuerySet');
defineInterface('GPUQuerySet', GPUQuerySet);
