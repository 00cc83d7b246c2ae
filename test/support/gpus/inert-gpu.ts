import { COMMANDS } from '#farlight/proto/gen/operations.js';
import { LIMIT_NAMES } from '#farlight/proto/gen/webgpu.js';

/** The properties of every object of this GPU, whatever its interface. */
const FACTS = {
  size: 64,
  width: 16,
  height: 16,
  depthOrArrayLayers: 1,
  sampleCount: 1,
  usage: 0xffff,
  dimension: '2d',
  format: 'rgba8unorm',
  label: '',
  mapState: 'unmapped',
};

/** The longest mapped range, in bytes. A descriptor may ask for more than this test should allocate. */
const LONGEST_RANGE = 1 << 20;

type Inert = Record<string, unknown>;

const prototypes = new Map<string, Inert>();
for (const { interface: name, member, fate, creates } of COMMANDS) {
  const prototype: Inert = prototypes.get(name) ?? { ...FACTS };
  prototypes.set(name, prototype);
  if (fate === 'awaited') prototype[member] = () => Promise.resolve(creates ? inert(creates) : null);
  else prototype[member] = creates ? () => inert(creates) : () => undefined;
}

function inert(kind: string): Inert {
  return Object.create(prototypes.get(kind) ?? FACTS);
}

const limits = Object.fromEntries(LIMIT_NAMES.map((name) => [name, 2 ** 30]));
const features = new Set<string>();

Object.assign(prototypes.get('GPUDevice') ?? {}, {
  features,
  limits,
  addEventListener: () => {},
  removeEventListener: () => {},
  popErrorScope: () => Promise.resolve(null),
});
Object.defineProperties(prototypes.get('GPUDevice'), {
  queue: { get: () => inert('GPUQueue') },
  // A new promise each time, because a promise keeps its waiters alive.
  lost: { get: () => new Promise(() => {}) },
});
Object.assign(prototypes.get('GPUBuffer') ?? {}, {
  getMappedRange(_offset: number, size: number) {
    if (size > LONGEST_RANGE) throw new DOMException('the range is too long', 'OperationError');
    return new ArrayBuffer(size);
  },
});
Object.assign(prototypes.get('GPUShaderModule') ?? {}, {
  getCompilationInfo: () => Promise.resolve({ messages: [] }),
});

/**
 * A WebGPU implementation that does nothing and takes no time. Every object has the methods of its interface, and every
 * promise is fulfilled at once. So a session on it runs as fast as it is decoded.
 */
export const inertGpu = {
  requestAdapter: () =>
    Promise.resolve({
      features,
      limits,
      info: { vendor: 'inert', device: 'inert', description: '' },
      requestDevice: () => Promise.resolve(inert('GPUDevice')),
    }),
} as unknown as GPU;
