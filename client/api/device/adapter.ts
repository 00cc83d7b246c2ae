import { native } from '../../../link/machine/globals.js';
import { type FarlightAdapter, type FarlightDevice, OPERATIONS } from '../../../proto/gen/operations.js';
import { bear } from '../../../proto/webidl/resource.js';
import { takeToken } from '../../run-tokens.js';
import type { ClientResource } from '../../session/client-resource.js';
import { awaitedCall, defineInterface, INTERNAL, illegal, promising } from '../interface.js';
import { GPUAdapterInfo, GPUSupportedFeatures, GPUSupportedLimits } from './capabilities.js';
import { GPUDevice } from './device.js';
import { DeviceResource } from './device-resource.js';

const { requestDevice } = OPERATIONS.GPUAdapter;

/** The message is Dawn's. */
const CONSUMED = 'adapter is "consumed": it has already been used to create a device';

/** https://gpuweb.github.io/gpuweb/#gpuadapter */
export class GPUAdapter {
  readonly #features: GPUSupportedFeatures;
  readonly #limits: GPUSupportedLimits;
  readonly #info: GPUAdapterInfo;
  /** All that this adapter offers. */
  readonly #offer: FarlightDevice<never>;
  /** A device was made of it. */
  #consumed = false;

  constructor(token?: unknown, resource?: ClientResource, reply?: FarlightAdapter<never>) {
    if (token !== INTERNAL || !resource || !reply) illegal();
    bear(this, resource);
    resource.session.track(resource);
    this.#features = new GPUSupportedFeatures(INTERNAL, new Set(reply.features));
    this.#limits = new GPUSupportedLimits(INTERNAL, reply.limits);
    this.#info = new GPUAdapterInfo(INTERNAL, reply.info);
    this.#offer = reply;
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
      takeToken('unused');
      const [descriptor] = requestDevice.convert?.(args) ?? [];
      const device = new DeviceResource(session, descriptor?.label ?? '');
      const queueLabel = descriptor?.defaultQueue.label ?? '';
      const made = (reply: FarlightDevice<never>) =>
        new GPUDevice(INTERNAL, device, { reply, adapterInfo: this.#info, queueLabel });
      const settlement = {
        fulfilled: (reply: FarlightDevice<never>) => {
          this.#consumed = true;
          return made(reply);
        },
        rejected: (error: Error) => {
          if (error !== session.ended) throw error;
          if (this.#consumed) throw new native.DOMException(CONSUMED, 'OperationError');
          // An expired adapter gives a device that is lost before the program has it.
          const lost = made(this.#offer);
          device.onLost('unknown', error.message);
          return lost;
        },
      };
      return session.request(requestDevice, adapter, [descriptor], settlement, device);
    });
  }
}

defineInterface('GPUAdapter', GPUAdapter);
