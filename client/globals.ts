import {
  GPUBufferUsage,
  GPUColorWrite,
  GPUMapMode,
  GPUShaderStage,
  GPUTextureUsage,
} from '../proto/gen/webgpu.js';
import { GPUAdapter } from './api/adapter.js';
import { GPUBuffer } from './api/buffer.js';
import { GPUCommandEncoder } from './api/command-encoder.js';
import { GPUComputePassEncoder } from './api/compute-pass-encoder.js';
import { GPUDevice, GPUDeviceLostInfo } from './api/device.js';
import * as errors from './api/errors.js';
import { GPU } from './api/gpu.js';
import * as opaque from './api/opaque.js';
import { GPUQuerySet } from './api/query-set.js';
import { GPUQueue } from './api/queue.js';
import { GPUCompilationInfo, GPUCompilationMessage, GPUShaderModule } from './api/shader-module.js';
import {
  GPUAdapterInfo,
  GPUSupportedFeatures,
  GPUSupportedLimits,
  WGSLLanguageFeatures,
} from './api/supported.js';

const { asException: _, asGPUError: __, ...errorClasses } = errors;

/** Every WebGPU class and constant, to be assigned to `globalThis`. */
export const globals = {
  GPU,
  GPUAdapter,
  GPUAdapterInfo,
  GPUBuffer,
  GPUBufferUsage,
  GPUColorWrite,
  GPUCommandEncoder,
  GPUCompilationInfo,
  GPUCompilationMessage,
  GPUComputePassEncoder,
  GPUDevice,
  GPUDeviceLostInfo,
  GPUMapMode,
  GPUQuerySet,
  GPUQueue,
  GPUShaderModule,
  GPUShaderStage,
  GPUSupportedFeatures,
  GPUSupportedLimits,
  GPUTextureUsage,
  WGSLLanguageFeatures,
  ...errorClasses,
  ...opaque,
};
