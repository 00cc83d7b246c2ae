import fc from 'fast-check';
import { close, create, globals, gpuMemory } from '#farlight/client/index.js';
import { testHost } from '#farlight/testing/index.js';
import { interpret } from '../../property/interpreter.js';
import { programs } from '../../property/programs.js';
import { type RecordedFrame, recording } from '../clients/recording.mjs';
import { countExactly } from '../programs/lossy-programs.js';

const { GPUBufferUsage, GPUMapMode, GPUTextureUsage } = globals;

const RANDOM_PROGRAMS = 24;

/** What real programs and random ones send on the null adapter. */
export async function recordSessions(): Promise<RecordedFrame[][]> {
  const host = await testHost({ adapter: 'null', transport: 'memory' });
  const sessions: RecordedFrame[][] = [];
  const random = fc
    .sample(programs, { seed: 3, numRuns: RANDOM_PROGRAMS })
    .map((program) => (gpu: GPU) => interpret(gpu, program));
  for (const program of [(gpu: GPU) => countExactly(gpu, 6), render, ask, count, ...random]) {
    for (const reuse of ['on', 'off'] as const) {
      const frames: RecordedFrame[] = [];
      const gpu = create({ transport: recording(host.transport, frames), reuse });
      await program(gpu);
      close(gpu);
      sessions.push(frames);
    }
  }
  await host.close();
  return sessions;
}

const SHADER = `
@group(0) @binding(0) var image: texture_2d<f32>;
@group(0) @binding(1) var nearest: sampler;
@vertex fn corner(@builtin(vertex_index) at: u32) -> @builtin(position) vec4f {
  return vec4f(f32(at & 1u) * 4 - 1, f32(at >> 1u) * 4 - 1, 0, 1);
}
@fragment fn colour(@builtin(position) at: vec4f) -> @location(0) vec4f {
  return textureSample(image, nearest, at.xy / 16);
}`;

/** Counts memory, and reserves some. */
async function count(gpu: GPU): Promise<void> {
  const memory = gpuMemory(gpu);
  const states = memory[Symbol.asyncIterator]();
  await states.next();
  const device = await (await gpu.requestAdapter())?.requestDevice();
  const reservation = await memory.reserve(65536);
  for (const size of [1024, 131072]) device?.createBuffer({ size, usage: GPUBufferUsage.COPY_DST }).destroy();
  await memory.resetPeak();
  reservation?.release();
  await memory.read();
  await states.return?.();
}

/** Draws a texture onto another, with queries and a bundle, and reads it back. */
async function render(gpu: GPU): Promise<void> {
  const device = await (await gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  const { RENDER_ATTACHMENT, TEXTURE_BINDING, COPY_SRC, COPY_DST } = GPUTextureUsage;
  const format = 'rgba8unorm';
  const image = device.createTexture({ size: [16, 16], format, usage: TEXTURE_BINDING | COPY_DST });
  const target = device.createTexture({ size: [16, 16], format, usage: RENDER_ATTACHMENT | COPY_SRC });
  const pixels = new Uint8Array(16 * 16 * 4).fill(77);
  device.queue.writeTexture({ texture: image }, pixels, { bytesPerRow: 64 }, [16, 16]);
  const module = device.createShaderModule({ code: SHADER });
  const pipeline = device.createRenderPipeline({
    layout: 'auto',
    vertex: { module },
    fragment: { module, targets: [{ format, blend: { color: {}, alpha: {} } }] },
    primitive: { topology: 'triangle-list' },
  });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 0, resource: image.createView() },
      { binding: 1, resource: device.createSampler() },
    ],
  });
  const read = device.createBuffer({
    size: 256 * 16,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const queries = device.createQuerySet({ type: 'occlusion', count: 2 });
  for (let round = 0; round < 2; round++) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginRenderPass({
      occlusionQuerySet: queries,
      colorAttachments: [
        { view: target.createView(), loadOp: 'clear', storeOp: 'store', clearValue: [0, 0, 0, 1] },
      ],
    });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.setScissorRect(0, 0, 8, 8);
    pass.beginOcclusionQuery(round);
    pass.draw(3);
    pass.endOcclusionQuery();
    pass.end();
    encoder.copyTextureToBuffer({ texture: target }, { buffer: read, bytesPerRow: 256 }, [16, 16]);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    read.unmap();
  }
  device.destroy();
}

/** Asks what is answered from the host: scopes, compilation, pipelines that are awaited, mapped buffers. */
async function ask(gpu: GPU): Promise<void> {
  const adapter = await gpu.requestAdapter();
  const device = await adapter?.requestDevice({ requiredLimits: { maxBindGroups: 4 }, label: 'fuzzed' });
  if (!device) throw new Error('no device');
  device.pushErrorScope('validation');
  device.createBuffer({ size: 3, usage: 0xffff });
  await device.popErrorScope();
  const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
  await module.getCompilationInfo();
  await device.createComputePipelineAsync({ layout: 'auto', compute: { module, constants: {} } });
  await device
    .createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'none' } })
    .catch(() => {});
  const buffer = device.createBuffer({
    size: 64,
    usage: GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC,
    mappedAtCreation: true,
  });
  new Uint8Array(buffer.getMappedRange()).fill(5);
  buffer.unmap();
  await buffer.mapAsync(GPUMapMode.WRITE, 8, 16);
  new Uint8Array(buffer.getMappedRange(8, 16)).fill(6);
  buffer.unmap();
  await device.queue.onSubmittedWorkDone();
}
