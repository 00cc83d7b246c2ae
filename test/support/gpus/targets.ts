import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, globals } from '#farlight/client/index.js';
import { openGpu } from '#farlight/server/gpu/open-gpu.js';
import { testHost } from '#farlight/testing/index.js';

/** Where a spec runs: on Dawn in this process, or through Farlight over one of its transports. */
export type TargetName = 'local' | 'memory' | 'no-reuse' | 'host';

/** The constructors and constants that WebGPU gives a program. */
export type Globals = Pick<
  typeof globalThis,
  | 'GPU'
  | 'GPUAdapter'
  | 'GPUAdapterInfo'
  | 'GPUBindGroup'
  | 'GPUBindGroupLayout'
  | 'GPUBuffer'
  | 'GPUBufferUsage'
  | 'GPUColorWrite'
  | 'GPUCommandBuffer'
  | 'GPUCommandEncoder'
  | 'GPUCompilationInfo'
  | 'GPUCompilationMessage'
  | 'GPUComputePassEncoder'
  | 'GPUComputePipeline'
  | 'GPUDevice'
  | 'GPUDeviceLostInfo'
  | 'GPUError'
  | 'GPUInternalError'
  | 'GPUMapMode'
  | 'GPUOutOfMemoryError'
  | 'GPUPipelineError'
  | 'GPUPipelineLayout'
  | 'GPUQuerySet'
  | 'GPUQueue'
  | 'GPURenderBundle'
  | 'GPURenderBundleEncoder'
  | 'GPURenderPassEncoder'
  | 'GPURenderPipeline'
  | 'GPUSampler'
  | 'GPUShaderModule'
  | 'GPUShaderStage'
  | 'GPUSupportedLimits'
  | 'GPUTexture'
  | 'GPUTextureUsage'
  | 'GPUTextureView'
  | 'GPUUncapturedErrorEvent'
  | 'GPUValidationError'
> & {
  // TypeScript's declarations have no constructors for these two.
  GPUSupportedFeatures: { prototype: GPUSupportedFeatures; new (): never };
  WGSLLanguageFeatures: { prototype: WGSLLanguageFeatures; new (): never };
};

export interface OpenTarget {
  readonly gpu: GPU;
  readonly globals: Globals;
  newGpu(): Promise<GPU>;
  close(): Promise<void>;
}

export interface Target {
  readonly name: TargetName;
  open(): Promise<OpenTarget>;
  /** Told what a spec observed, where that is compared with another process. */
  observed?(seen: unknown): void;
}

async function openLocal(): Promise<OpenTarget> {
  // Chooses the driver before Dawn is loaded, as a host does.
  const newGpu = async () => (await openGpu('software')).gpu;
  const gpu = await newGpu();
  const { globals } = await import('webgpu');
  return { gpu, globals: globals as unknown as Globals, newGpu, close: async () => {} };
}

async function openFarlight(transport: 'memory' | 'host', reuse: 'on' | 'off' = 'on'): Promise<OpenTarget> {
  // A file of specs has one session: a spare executor would serve nobody.
  const contents = mkdtempSync(join(tmpdir(), 'farlight-contents-'));
  const host = await testHost({ adapter: 'software', transport, spares: 0, contents });
  const newGpu = () =>
    create({
      ...(transport === 'memory' ? { transport: host.transport } : { host: host.url }),
      reuse,
      ahead: 'on',
    });
  return {
    gpu: newGpu(),
    globals: globals as unknown as Globals,
    newGpu: async () => newGpu(),
    close: async () => {
      await host.close();
      rmSync(contents, { recursive: true, force: true });
    },
  };
}

const all: readonly Target[] = [
  { name: 'local', open: openLocal },
  { name: 'memory', open: () => openFarlight('memory') },
  { name: 'no-reuse', open: () => openFarlight('memory', 'off') },
  { name: 'host', open: () => openFarlight('host') },
];

/** FARLIGHT_TEST_TARGETS=local,memory runs the specs on those alone. */
const wanted = process.env.FARLIGHT_TEST_TARGETS?.split(',');

/** Local Dawn first: what Dawn decides for itself is compared with what it decided there. */
export const targets = all.filter(({ name }) => !wanted || wanted.includes(name));
