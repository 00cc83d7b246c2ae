/**
 * The surface: every operation of every WebGPU interface, and what becomes of a call to it.
 *
 * - `local`: the client answers from what it holds; nothing crosses the wire for the call itself.
 * - `command`: the client answers at once and the call is recorded; it crosses with the next flush.
 * - `awaited`: the call is recorded, the flush is sent, and the host's reply settles a promise.
 *
 * The generator makes three things of each row: a converter of the call's arguments, a writer and a reader of its
 * command, and an entry of the operation table. The converter follows the WebGPU IDL. The writer and the reader follow
 * `wire.idl` if the wire's form differs, and the WebGPU IDL otherwise.
 *
 * `regular` rows need no further code: the client installs the method, and the executor calls the Dawn method of the
 * same name, unless a handler in `server/executor/handlers` does more. Other rows have a hand-written method in
 * `client/api`, a handler, or both.
 *
 * Opcodes are the rows' positions, so a row in the middle changes the protocol: raise `PROTOCOL` in
 * `proto/session/version.ts`.
 */
export type Fate = 'local' | 'command' | 'awaited';

export interface Row {
  readonly fate: Fate;
  /** The interface whose handle the client mints with this call. */
  readonly creates?: string;
  /** Both sides follow the IDL alone. */
  readonly regular: boolean;
}

const local: Row = { fate: 'local', regular: false };
const command: Row = { fate: 'command', regular: true };
const special: Row = { fate: 'command', regular: false };
const awaited: Row = { fate: 'awaited', regular: false };
const create = (creates: string): Row => ({ fate: 'command', creates, regular: true });
const specialCreate = (creates: string): Row => ({ fate: 'command', creates, regular: false });
const awaitedCreate = (creates: string): Row => ({ fate: 'awaited', creates, regular: false });

const debugCommands = { pushDebugGroup: command, popDebugGroup: command, insertDebugMarker: command };
const bindingCommands = { setBindGroup: special, setImmediates: special };
const renderCommands = {
  setPipeline: command,
  setIndexBuffer: command,
  setVertexBuffer: command,
  draw: command,
  drawIndexed: command,
  drawIndirect: command,
  drawIndexedIndirect: command,
};

export const SURFACE: Readonly<Record<string, Readonly<Record<string, Row>>>> = {
  FarlightSession: { setLabel: special, acknowledge: awaited },
  GPU: { requestAdapter: awaitedCreate('GPUAdapter'), getPreferredCanvasFormat: local },
  GPUAdapter: { requestDevice: awaitedCreate('GPUDevice') },
  GPUDevice: {
    getQueue: specialCreate('GPUQueue'),
    destroy: special,
    createBuffer: specialCreate('GPUBuffer'),
    createTexture: create('GPUTexture'),
    createSampler: create('GPUSampler'),
    importExternalTexture: local,
    createBindGroupLayout: create('GPUBindGroupLayout'),
    createPipelineLayout: create('GPUPipelineLayout'),
    createBindGroup: create('GPUBindGroup'),
    createShaderModule: create('GPUShaderModule'),
    createComputePipeline: create('GPUComputePipeline'),
    createComputePipelineAsync: awaitedCreate('GPUComputePipeline'),
    createRenderPipeline: create('GPURenderPipeline'),
    createRenderPipelineAsync: awaitedCreate('GPURenderPipeline'),
    createCommandEncoder: create('GPUCommandEncoder'),
    createRenderBundleEncoder: create('GPURenderBundleEncoder'),
    createQuerySet: create('GPUQuerySet'),
    pushErrorScope: special,
    popErrorScope: awaited,
    readAhead: awaited,
  },
  GPUBuffer: {
    mapAsync: awaited,
    mapAhead: awaited,
    awaitMapping: special,
    getMappedRange: local,
    writeMapped: special,
    unmap: special,
    destroy: special,
  },
  GPUTexture: { createView: create('GPUTextureView'), destroy: command },
  GPUShaderModule: { getCompilationInfo: awaited },
  GPUComputePipeline: { getBindGroupLayout: create('GPUBindGroupLayout') },
  GPURenderPipeline: { getBindGroupLayout: create('GPUBindGroupLayout') },
  GPUCommandEncoder: {
    beginComputePass: create('GPUComputePassEncoder'),
    beginRenderPass: create('GPURenderPassEncoder'),
    copyBufferToBuffer: special,
    copyBufferToTexture: command,
    copyTextureToBuffer: command,
    copyTextureToTexture: command,
    clearBuffer: command,
    resolveQuerySet: command,
    finish: create('GPUCommandBuffer'),
    ...debugCommands,
  },
  GPUComputePassEncoder: {
    setPipeline: command,
    dispatchWorkgroups: command,
    dispatchWorkgroupsIndirect: command,
    end: command,
    ...bindingCommands,
    ...debugCommands,
  },
  GPURenderPassEncoder: {
    setViewport: command,
    setScissorRect: command,
    setBlendConstant: command,
    setStencilReference: command,
    beginOcclusionQuery: command,
    endOcclusionQuery: command,
    executeBundles: command,
    multiDrawIndirect: command,
    multiDrawIndexedIndirect: command,
    end: command,
    ...renderCommands,
    ...bindingCommands,
    ...debugCommands,
  },
  GPURenderBundleEncoder: {
    finish: create('GPURenderBundle'),
    ...renderCommands,
    ...bindingCommands,
    ...debugCommands,
  },
  GPUQueue: {
    submit: command,
    onSubmittedWorkDone: awaited,
    writeBuffer: special,
    writeTexture: special,
    beginWriteBuffer: special,
    beginWriteTexture: special,
    copyExternalImageToTexture: special,
  },
  GPUQuerySet: { destroy: command },
  // Last, since hosts that do not know them have the opcodes before.
  FarlightActivity: { watch: special, readClock: special },
  FarlightMemory: { read: awaited, resetPeak: awaited, reserve: awaited, release: special, watch: special },
  FarlightLines: { accept: awaited, connect: awaited, close: special },
  FarlightRange: { send: special, receive: special },
};
