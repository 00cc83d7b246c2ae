import * as constants from '../proto/gen/webgpu.js';
import { GPUBuffer } from './api/buffers/buffer.js';
import {
  GPUCommandEncoder,
  GPUComputePassEncoder,
  GPURenderBundleEncoder,
  GPURenderPassEncoder,
} from './api/commands/encoders.js';
import { GPUQuerySet } from './api/commands/query-set.js';
import { GPUQueue } from './api/commands/queue.js';
import { GPUAdapter } from './api/device/adapter.js';
import {
  GPUAdapterInfo,
  GPUSupportedFeatures,
  GPUSupportedLimits,
  WGSLLanguageFeatures,
} from './api/device/capabilities.js';
import { GPUDevice } from './api/device/device.js';
import { GPUDeviceLostInfo } from './api/device/device-resource.js';
import { GPU } from './api/device/gpu.js';
import * as errors from './api/errors.js';
import * as plainInterfaces from './api/plain-interfaces.js';
import { GPUCompilationInfo, GPUCompilationMessage, GPUShaderModule } from './api/shader-module.js';
import { GPUTexture } from './api/textures/texture.js';
import { GPUCanvasContext } from './canvas/canvas-context.js';

const { asException: _, asGPUError: __, ...errorClasses } = errors;

/** A WebIDL namespace of constants: read-only, with its name as its string tag. */
function namespace<T extends object>(name: string, values: T): Readonly<T> {
  const result = { ...values };
  Object.defineProperty(result, Symbol.toStringTag, { value: name });
  return Object.freeze(result);
}

/** Every class and constant of WebGPU, by its name. */
export const globals = {
  GPU,
  GPUAdapter,
  GPUAdapterInfo,
  GPUBuffer,
  GPUBufferUsage: namespace('GPUBufferUsage', constants.GPUBufferUsage),
  GPUColorWrite: namespace('GPUColorWrite', constants.GPUColorWrite),
  GPUCanvasContext,
  GPUCommandEncoder,
  GPUCompilationInfo,
  GPUCompilationMessage,
  GPUComputePassEncoder,
  GPUDevice,
  GPUDeviceLostInfo,
  GPUMapMode: namespace('GPUMapMode', constants.GPUMapMode),
  GPUQuerySet,
  GPUQueue,
  GPURenderBundleEncoder,
  GPURenderPassEncoder,
  GPUShaderModule,
  GPUShaderStage: namespace('GPUShaderStage', constants.GPUShaderStage),
  GPUSupportedFeatures,
  GPUSupportedLimits,
  GPUTexture,
  GPUTextureUsage: namespace('GPUTextureUsage', constants.GPUTextureUsage),
  WGSLLanguageFeatures,
  ...errorClasses,
  ...plainInterfaces,
};

/** Installs the classes and constants of WebGPU as globals. */
export function installGlobals(): void {
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, enumerable: false, writable: true });
  }
}

/** Sets `navigator.gpu`, also if the navigator has one already. */
export function installGpu(navigator: object, gpu: object): void {
  Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true, enumerable: true });
}
