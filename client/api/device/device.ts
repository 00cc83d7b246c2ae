import { native } from '../../../link/machine/globals.js';
import { type FarlightDevice, type FarlightGPUError, OPERATIONS } from '../../../proto/gen/operations.js';
import { harmlessLines } from '../../../proto/harmless.js';
import { describe, requireArguments, toDictionary } from '../../../proto/webidl/converters.js';
import { bear } from '../../../proto/webidl/resource.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { ClientResource } from '../../session/client-resource.js';
import { createBufferResource } from '../buffers/buffer.js';
import { asGPUError, type GPUError, GPUUncapturedErrorEvent } from '../errors.js';
import {
  awaitedCall,
  defineInterface,
  defineObjectBase,
  INTERNAL,
  illegal,
  localCall,
  makeResource,
  promising,
  wrap,
} from '../interface.js';
import { type GPUAdapterInfo, GPUSupportedFeatures, GPUSupportedLimits } from './capabilities.js';
import type { DeviceResource, GPUDeviceLostInfo } from './device-resource.js';

const operations = OPERATIONS.GPUDevice;

type UncapturedErrorHandler = ((event: GPUUncapturedErrorEvent) => unknown) | null;

/** The parts of a new device, beside its resource. */
interface DeviceFacts {
  reply: FarlightDevice<never>;
  adapterInfo: GPUAdapterInfo;
  queueLabel: string;
}

/** https://gpuweb.github.io/gpuweb/#gpudevice */
export class GPUDevice extends EventTarget {
  declare label: string;
  #attributes!: {
    features: GPUSupportedFeatures;
    limits: GPUSupportedLimits;
    adapterInfo: GPUAdapterInfo;
    queue: object;
    lost: Promise<GPUDeviceLostInfo>;
  };
  #onuncapturederror: UncapturedErrorHandler = null;

  constructor(token?: unknown, resource?: DeviceResource, given?: DeviceFacts) {
    if (token !== INTERNAL || !resource || !given) illegal();
    super();
    const { reply, adapterInfo, queueLabel } = given;
    bear(this, resource);
    const { session } = resource;
    const features = new Set(reply.features);
    resource.features = features;
    session.track(resource);
    // This way, every object of the device keeps its listeners alive.
    resource.onUncapturedError = (error) => this.#dispatchUncaptured(error);
    session.devices.add(resource);
    const queue = new ClientResource(session, 'GPUQueue', resource, queueLabel);
    session.record(operations.getQueue, resource, [], queue);
    this.#attributes = {
      features: new GPUSupportedFeatures(INTERNAL, features),
      limits: new GPUSupportedLimits(INTERNAL, reply.limits),
      adapterInfo,
      queue: wrap(queue),
      lost: resource.lost,
    };
  }

  get features(): GPUSupportedFeatures {
    return this.#attributes.features;
  }

  get limits(): GPUSupportedLimits {
    return this.#attributes.limits;
  }

  get adapterInfo(): GPUAdapterInfo {
    return this.#attributes.adapterInfo;
  }

  get queue(): object {
    return this.#attributes.queue;
  }

  get lost(): Promise<GPUDeviceLostInfo> {
    return this.#attributes.lost;
  }

  get onuncapturederror(): UncapturedErrorHandler {
    return this.#onuncapturederror;
  }

  /** An event handler attribute: anything but a function is null. */
  set onuncapturederror(handler: UncapturedErrorHandler) {
    const wasSet = this.#onuncapturederror !== null;
    this.#onuncapturederror = typeof handler === 'function' ? handler : null;
    // Its place among the listeners is the one where it was first set.
    if (!wasSet && this.#onuncapturederror) this.addEventListener('uncapturederror', this.#callHandler);
    if (wasSet && !this.#onuncapturederror) this.removeEventListener('uncapturederror', this.#callHandler);
  }

  destroy(): undefined {
    const device = localCall(this, 'GPUDevice', 'destroy') as DeviceResource;
    device.destroy();
    device.session.record(operations.destroy, device, []);
  }

  createBuffer(...args: unknown[]): object {
    const device = localCall(this, 'GPUDevice', 'createBuffer');
    const [descriptor] = operations.createBuffer.convert?.(args) ?? [];
    return wrap(createBufferResource(device, descriptor as never));
  }

  /** Takes sources that only a page has, so no value can be converted to one. */
  importExternalTexture(...args: unknown[]): never {
    const where = 'GPUDevice.importExternalTexture';
    localCall(this, 'GPUDevice', 'importExternalTexture');
    requireArguments(args.length, 1, where);
    const { source } = toDictionary(args[0], 'GPUExternalTextureDescriptor');
    throw new TypeError(
      `${where}: ${describe(source)} is neither an HTMLVideoElement nor a VideoFrame; there are none outside a page`,
    );
  }

  createComputePipelineAsync(...args: unknown[]): Promise<object> {
    return createAsync(this, operations.createComputePipelineAsync, operations.createComputePipeline, args);
  }

  createRenderPipelineAsync(...args: unknown[]): Promise<object> {
    return createAsync(this, operations.createRenderPipelineAsync, operations.createRenderPipeline, args);
  }

  pushErrorScope(...args: unknown[]): undefined {
    const device = localCall(this, 'GPUDevice', 'pushErrorScope');
    device.session.record(operations.pushErrorScope, device, operations.pushErrorScope.convert?.(args));
  }

  popErrorScope(): Promise<GPUError | null> {
    return promising(() => {
      const device = awaitedCall(this, 'GPUDevice', 'popErrorScope');
      return device.session.request(operations.popErrorScope, device, [], {
        fulfilled: (error) => error && asGPUError(error),
        rejected: (error) => {
          // A lost device reports no errors: the specification resolves with null.
          if (error === device.session.ended) return null;
          throw error;
        },
      });
    });
  }

  readonly #callHandler = (event: Event) => {
    this.#onuncapturederror?.call(this, event as GPUUncapturedErrorEvent);
  };

  #dispatchUncaptured(error: FarlightGPUError<never>): void {
    const event = new GPUUncapturedErrorEvent('uncapturederror', {
      error: asGPUError(error),
      cancelable: true,
    });
    if (!this.dispatchEvent(event)) return;
    const { error: uncaught } = event;
    console.warn(`Uncaught ${uncaught.constructor.name}: ${harmlessLines(uncaught.message)}`);
  }
}

defineObjectBase(GPUDevice, 'GPUDevice');
defineInterface('GPUDevice', GPUDevice);

/**
 * Both asynchronous pipeline creations. The wrapper is made when the host replies that it has the pipeline.
 * If the host has said so before, the wrapper is made at once; `here` is the creation that is not awaited.
 */
function createAsync(
  self: unknown,
  operation: AnyOperation,
  here: AnyOperation,
  args: unknown[],
): Promise<object> {
  return promising(() => {
    const device = awaitedCall(self, 'GPUDevice', operation.member);
    const converted = operation.convert?.(args) as unknown[];
    const made = makeResource(operation.creates as string, device, converted);
    if (device.session.isCompiled(operation, device, converted)) {
      device.session.record(here, device, converted, made);
      return native.Promise.resolve(wrap(made));
    }
    const settlement = {
      fulfilled: () => wrap(made),
      rejected: (error: Error) => {
        // The specification gives out a pipeline without effect on a lost device.
        if (error === device.session.ended) return wrap(made);
        throw error;
      },
    };
    return device.session.request(operation, device, converted, settlement, made);
  });
}
