import * as activity from './activity.js';
import * as buffer from './buffer.js';
import type { Handler } from './context.js';
import * as device from './device.js';
import * as gpu from './gpu.js';
import * as queue from './queue.js';
import * as session from './session-commands.js';
import * as shaderModule from './shader-module.js';
import * as texture from './texture.js';

/**
 * The commands whose execution does not follow from the IDL, by interface and member. Any other calls
 * the method of that name with the arguments as they were read.
 */
export const HANDLERS: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  FarlightSession: { setLabel: session.setLabel as Handler, acknowledge: session.acknowledge },
  FarlightActivity: { watch: activity.watch as Handler, readClock: activity.readClock as Handler },
  GPU: { requestAdapter: gpu.requestAdapter as Handler },
  GPUAdapter: { requestDevice: gpu.requestDevice as Handler },
  GPUDevice: {
    getQueue: device.getQueue as Handler,
    destroy: device.destroy,
    createBuffer: device.createBuffer as Handler,
    createTexture: device.createTexture as Handler,
    pushErrorScope: device.pushErrorScope,
    popErrorScope: device.popErrorScope,
    createComputePipelineAsync: device.createComputePipelineAsync as Handler,
    createRenderPipelineAsync: device.createRenderPipelineAsync as Handler,
  },
  GPUBuffer: {
    mapAsync: buffer.mapAsync,
    writeMapped: buffer.writeMapped,
    unmap: buffer.unmap,
    destroy: buffer.destroy,
  },
  GPUQueue: {
    submit: queue.submit as Handler,
    onSubmittedWorkDone: queue.onSubmittedWorkDone,
    writeBuffer: queue.writeBuffer as Handler,
    writeTexture: queue.writeTexture as Handler,
    beginWriteBuffer: queue.beginWriteBuffer as Handler,
    beginWriteTexture: queue.beginWriteTexture as Handler,
    copyExternalImageToTexture: queue.copyExternalImageToTexture as Handler,
  },
  GPUTexture: { destroy: texture.destroy },
  GPUShaderModule: { getCompilationInfo: shaderModule.getCompilationInfo },
};
