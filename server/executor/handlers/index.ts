import { COMMANDS } from '../../../proto/gen/operations.js';
import * as adapters from './adapters.js';
import type { Handler } from './context.js';
import * as device from './device.js';
import * as memory from './memory.js';
import * as queue from './queue.js';
import * as ranges from './ranges.js';
import * as resources from './resources.js';
import * as session from './session.js';

/** By interface and member: the commands that do more than call the implementation's method with their arguments. */
const BY_NAME: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  FarlightSession: { setLabel: session.setLabel as Handler, acknowledge: session.acknowledge },
  FarlightActivity: { watch: session.watch as Handler, readClock: session.readClock as Handler },
  FarlightMemory: {
    read: memory.read,
    resetPeak: memory.resetPeak,
    reserve: memory.reserve as Handler,
    release: memory.release as Handler,
    watch: memory.watch as Handler,
  },
  FarlightLines: {
    accept: ranges.accept as Handler,
    connect: ranges.connect as Handler,
    close: ranges.close as Handler,
  },
  FarlightRange: { send: ranges.send as Handler, receive: ranges.receive as Handler },
  GPU: { requestAdapter: adapters.requestAdapter as Handler },
  GPUAdapter: { requestDevice: adapters.requestDevice as Handler },
  GPUDevice: {
    getQueue: device.getQueue as Handler,
    destroy: device.destroy,
    createBuffer: device.createBuffer as Handler,
    createTexture: device.createTexture as Handler,
    pushErrorScope: device.pushErrorScope,
    popErrorScope: device.popErrorScope,
    readAhead: device.readAhead as Handler,
    createComputePipelineAsync: device.createComputePipelineAsync as Handler,
    createRenderPipelineAsync: device.createRenderPipelineAsync as Handler,
  },
  GPUBuffer: {
    mapAsync: resources.mapAsync,
    mapAhead: resources.mapAhead as Handler,
    awaitMapping: resources.awaitMapping,
    writeMapped: resources.writeMapped,
    unmap: resources.unmap,
    destroy: resources.destroy,
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
  GPUTexture: { destroy: resources.destroy },
  GPUShaderModule: { getCompilationInfo: device.getCompilationInfo },
};

/** By opcode: the handler of a command. A command without one calls the implementation's method of its name. */
export const HANDLERS: readonly (Handler | undefined)[] = COMMANDS.map(
  ({ interface: name, member }) => BY_NAME[name]?.[member],
);
