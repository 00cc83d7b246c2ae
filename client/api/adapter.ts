import { type FarlightAdapter, type FarlightDevice, OPERATIONS } from '../../proto/gen/operations.js';
import { bear } from '../../proto/webidl/resource.js';
import type { ClientResource } from '../session/client-resource.js';
import { awaitedCall, defineInterface, INTERNAL, illegal, promising } from './define.js';
import { GPUDevice } from './device.js';
import { DeviceResource } from './device-resource.js';
import { GPUAdapterInfo, GPUSupportedFeatures, GPUSupportedLimits } from './supported.js';

const { requestDevice } = OPERATIONS.GPUAdapter;

/** https://gpuweb.github.io/gpuweb/#gpuadapter */
export class GPUAdapter {
  readonly #features: GPUSupportedFeatures;
  readonly #limits: GPUSupportedLimits;
  readonly #info: GPUAdapterInfo;

  constructor(token?: unknown, resource?: ClientResource, reply?: FarlightAdapter<never>) {
    if (token !== INTERNAL || !resource || !reply) illegal();
    bear(this, resource);
    resource.session.track(resource);
    this.#features = new GPUSupportedFeatures(INTERNAL, new Set(reply.features));
    this.#limits = new GPUSupportedLimits(INTERNAL, reply.limits);
    this.#info = new GPUAdapterInfo(INTERNAL, reply.info);
  }

  get features(): GPUSupportedFeatures {
    return this.#features;
  }

  get limits(): GPUSupportedLimits {
    return this.#limits;
  }

  get info(): GPUAdapterInfo {
    return this.#info;
  }

  requestDevice(...args: unknown[]): Promise<GPUDevice> {
    return promising(() => {
      const adapter = awaitedCall(this, 'GPUAdapter', 'requestDevice');
      const { session } = adapter;
      const [descriptor] = requestDevice.convert?.(args) ?? [];
      const device = new DeviceResource(session, descriptor?.label ?? '');
      const queueLabel = descriptor?.defaultQueue.label ?? '';
      const fulfilled = (reply: FarlightDevice<never>) =>
        new GPUDevice(INTERNAL, device, { reply, adapterInfo: this.#info, queueLabel });
      return session.request(requestDevice, adapter, [descriptor], { fulfilled }, device);
    });
  }
}

defineInterface('GPUAdapter', GPUAdapter);
