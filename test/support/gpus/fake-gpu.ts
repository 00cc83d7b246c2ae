/** One call that reached the GPU: interface and member, and its arguments. */
export type Call = [string, unknown[]];

const CREATES: Record<string, string> = {
  createBuffer: 'GPUBuffer',
  createTexture: 'GPUTexture',
  createShaderModule: 'GPUShaderModule',
  createComputePipeline: 'GPUComputePipeline',
  createBindGroup: 'GPUBindGroup',
  createBindGroupLayout: 'GPUBindGroupLayout',
  createCommandEncoder: 'GPUCommandEncoder',
  beginComputePass: 'GPUComputePassEncoder',
  finish: 'GPUCommandBuffer',
};

/** The members that return a promise. */
const AWAITED = new Set(['mapAsync', 'onSubmittedWorkDone', 'popErrorScope', 'createComputePipelineAsync']);

/**
 * A WebGPU implementation that computes nothing. It notes its calls in order, and returns what the test has set.
 */
export class FakeGpu {
  readonly #model: string;

  readonly calls: Call[] = [];
  /** By a member's name: what to do in place of noting the call. */
  readonly answers: Record<string, (...args: never[]) => unknown> = {};
  readonly device = this.#object('GPUDevice', {
    features: new Set(['timestamp-query']),
    limits: { maxBufferSize: 1024 },
    lost: new Promise(() => {}),
    addEventListener: () => {},
  });
  readonly gpu = {
    requestAdapter: async () => ({
      features: new Set(['timestamp-query']),
      limits: { maxBufferSize: 2048 },
      info: { vendor: 'fake', device: this.#model },
      requestDevice: async () => this.device,
    }),
  } as unknown as GPU;

  constructor(model = 'fake') {
    this.#model = model;
  }

  names(): string[] {
    return this.calls.map(([name]) => name);
  }

  #object(kind: string, members: Record<string, unknown> = {}): Record<string, unknown> {
    return new Proxy(members, {
      get: (target, member) => {
        if (typeof member === 'symbol' || member === 'then') return undefined;
        if (member in target) return target[member];
        if (member === 'queue') {
          target.queue = this.#object('GPUQueue');
          return target.queue;
        }
        return (...args: unknown[]) => {
          this.calls.push([`${kind}.${member}`, args]);
          const answer = this.answers[member] as ((...args: unknown[]) => unknown) | undefined;
          if (answer) return answer(...args);
          if (AWAITED.has(member)) return Promise.resolve(null);
          const creates = CREATES[member];
          if (creates === 'GPUBuffer') {
            const { size } = args[0] as GPUBufferDescriptor;
            return this.#object(creates, { size, mapState: 'unmapped' });
          }
          return creates && this.#object(creates);
        };
      },
    });
  }
}
