import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import { COPY_DST, MAP_READ, rejection, thrown } from './support.js';

/** One object of each compute interface. */
async function instances({ device, gpu, adapter, scoped }: Subject): Promise<Record<string, object>> {
  const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
  const layout = device.createBindGroupLayout({ entries: [] });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.end();
  const info = await module.getCompilationInfo();
  const error = await scoped('validation', () => device.createBuffer({ size: 4, usage: 0 }));
  return {
    GPU: gpu,
    GPUAdapter: adapter,
    GPUAdapterInfo: adapter.info,
    GPUBindGroup: device.createBindGroup({ layout, entries: [] }),
    GPUBindGroupLayout: layout,
    GPUBuffer: device.createBuffer({ size: 4, usage: COPY_DST }),
    GPUCommandBuffer: encoder.finish(),
    GPUCommandEncoder: encoder,
    GPUCompilationInfo: info,
    GPUComputePassEncoder: pass,
    GPUComputePipeline: device.createComputePipeline({ layout: 'auto', compute: { module } }),
    GPUDevice: device,
    GPUPipelineLayout: device.createPipelineLayout({ bindGroupLayouts: [] }),
    GPUQuerySet: device.createQuerySet({ type: 'occlusion', count: 1 }),
    GPUQueue: device.queue,
    GPUShaderModule: module,
    GPUSupportedFeatures: device.features,
    GPUSupportedLimits: device.limits,
    GPUValidationError: error as GPUError,
    WGSLLanguageFeatures: gpu.wgslLanguageFeatures,
  };
}

/** The methods of compute interfaces, with their number of required arguments. */
const required: Record<string, Record<string, number>> = {
  GPU: { requestAdapter: 0, getPreferredCanvasFormat: 0 },
  GPUAdapter: { requestDevice: 0 },
  GPUBuffer: { mapAsync: 1, getMappedRange: 0, unmap: 0, destroy: 0 },
  GPUCommandEncoder: {
    beginComputePass: 0,
    clearBuffer: 1,
    copyBufferToBuffer: 2,
    finish: 0,
    insertDebugMarker: 1,
    popDebugGroup: 0,
    pushDebugGroup: 1,
    resolveQuerySet: 5,
  },
  GPUComputePassEncoder: {
    dispatchWorkgroups: 1,
    dispatchWorkgroupsIndirect: 2,
    end: 0,
    insertDebugMarker: 1,
    popDebugGroup: 0,
    pushDebugGroup: 1,
    setBindGroup: 2,
    setImmediates: 2,
    setPipeline: 1,
  },
  GPUComputePipeline: { getBindGroupLayout: 1 },
  GPUDevice: {
    createBindGroup: 1,
    createBindGroupLayout: 1,
    createBuffer: 1,
    createCommandEncoder: 0,
    createComputePipeline: 1,
    createComputePipelineAsync: 1,
    createPipelineLayout: 1,
    createQuerySet: 1,
    createShaderModule: 1,
    destroy: 0,
    popErrorScope: 0,
    pushErrorScope: 1,
  },
  GPUQuerySet: { destroy: 0 },
  GPUQueue: { onSubmittedWorkDone: 0, submit: 1, writeBuffer: 3 },
  GPUShaderModule: { getCompilationInfo: 0 },
  GPUSupportedFeatures: { has: 1, entries: 0, values: 0, forEach: 1 },
};

type Class = { new (): unknown; prototype: object };
const classOf = (globals: Subject['globals'], name: string) =>
  globals[name as 'GPUBuffer'] as unknown as Class;

describe('interfaces', () => {
  parity('objects are instances of their interface, and tagged with its name', async (t) => {
    for (const [name, object] of Object.entries(await instances(t))) {
      expect(object, name).toBeInstanceOf(classOf(t.globals, name));
      expect(Object.prototype.toString.call(object)).toBe(`[object ${name}]`);
      expect(Object.getPrototypeOf(object) === classOf(t.globals, name).prototype, name).toBe(true);
      expect(object.constructor.name).toBe(name);
    }
  });

  parity('constructors of interfaces are illegal', async (t) => {
    for (const name of Object.keys(await instances(t))) {
      if (name === 'GPUValidationError') continue;
      const Interface = classOf(t.globals, name);
      expect(
        thrown(() => new Interface()),
        name,
      ).toBeInstanceOf(TypeError);
    }
  });

  parity('a GPUDevice is an EventTarget', ({ device, globals }) => {
    expect(device).toBeInstanceOf(EventTarget);
    expect(Object.getPrototypeOf(globals.GPUDevice)).toBe(EventTarget);
  });

  parity('objects can be extended, and be keys of maps', async (t) => {
    const key = Symbol('mine');
    for (const [name, object] of Object.entries(await instances(t))) {
      expect(Object.isExtensible(object), name).toBe(true);
      (object as Record<symbol, unknown>)[key] = name;
      expect((object as Record<symbol, unknown>)[key]).toBe(name);
      expect(new WeakMap([[object, 1]]).get(object)).toBe(1);
    }
  });

  const calls: [name: string, call: (t: Subject, self: unknown) => unknown][] = [
    [
      'createBuffer',
      ({ device }, self) => device.createBuffer.call(self as never, { size: 4, usage: COPY_DST }),
    ],
    ['submit', ({ device }, self) => device.queue.submit.call(self as never, [])],
    ['getPreferredCanvasFormat', ({ gpu }, self) => gpu.getPreferredCanvasFormat.call(self as never)],
    ['finish', ({ device }, self) => device.createCommandEncoder().finish.call(self as never)],
    ['has', ({ device }, self) => device.features.has.call(self as never, 'x')],
  ];
  for (const [name, call] of calls) {
    parity(`${name} called on another object throws a TypeError`, (t) => {
      const { GPUBuffer, GPUDevice } = t.globals;
      for (const self of [{}, undefined, t.device.limits, GPUBuffer.prototype, GPUDevice.prototype]) {
        expect(thrown(() => call(t, self))).toBeInstanceOf(TypeError);
      }
    });
  }

  parity('an object that inherits from an instance is not an instance', (t) => {
    const self = Object.create(t.device);
    expect(thrown(() => self.createCommandEncoder())).toBeInstanceOf(TypeError);
    expect(thrown(() => self.queue.submit.call(Object.create(t.device.queue), []))).toBeInstanceOf(TypeError);
  });

  parity(
    'a promise method called on another object rejects',
    async (t) => {
      const { device, gpu } = t;
      const buffer = device.createBuffer({ size: 4, usage: MAP_READ });
      expect(await rejection(gpu.requestAdapter.call({} as never))).toBeInstanceOf(TypeError);
      expect(await rejection(buffer.mapAsync.call({} as never, 1))).toBeInstanceOf(TypeError);
      expect(await rejection(device.popErrorScope.call({} as never))).toBeInstanceOf(TypeError);
      expect(await rejection(device.queue.onSubmittedWorkDone.call({} as never))).toBeInstanceOf(TypeError);
    },
    { deviation: 'a foreign object makes a promise method throw' },
  );

  parity(
    'reading an attribute of another object throws a TypeError',
    ({ globals }) => {
      const get = (prototype: object, name: string) => {
        const getter = Object.getOwnPropertyDescriptor(prototype, name)?.get;
        expect(getter, name).toBeTypeOf('function');
        return getter as () => unknown;
      };
      expect(thrown(() => get(globals.GPUBuffer.prototype, 'size').call({}))).toBeInstanceOf(TypeError);
      expect(thrown(() => get(globals.GPUBuffer.prototype, 'label').call({}))).toBeInstanceOf(TypeError);
      expect(
        thrown(() => get(globals.GPUSupportedLimits.prototype, 'maxBindGroups').call({})),
      ).toBeInstanceOf(TypeError);
    },
    { deviation: 'an attribute of a foreign object throws an Error' },
  );

  parity(
    'attributes are getters of the prototype',
    async (t) => {
      const attributes: Record<string, string[]> = {
        GPU: ['wgslLanguageFeatures'],
        GPUAdapter: ['features', 'limits', 'info'],
        GPUAdapterInfo: ['vendor', 'architecture', 'device', 'description', 'isFallbackAdapter'],
        GPUBuffer: ['size', 'usage', 'mapState', 'label'],
        GPUDevice: ['features', 'limits', 'adapterInfo', 'queue', 'lost', 'label', 'onuncapturederror'],
        GPUQuerySet: ['type', 'count', 'label'],
        GPUSupportedFeatures: ['size'],
      };
      const objects = await instances(t);
      for (const [name, names] of Object.entries(attributes)) {
        for (const attribute of names) {
          const property = Object.getOwnPropertyDescriptor(classOf(t.globals, name).prototype, attribute);
          expect(property?.get, `${name}.${attribute}`).toBeTypeOf('function');
          expect(property?.enumerable, `${name}.${attribute}`).toBe(true);
          expect(Object.hasOwn(objects[name] as object, attribute), `${name}.${attribute}`).toBe(false);
        }
      }
    },
    { deviation: 'attributes that hold objects are properties of their own' },
  );

  parity(
    'attributes without a setter cannot be assigned',
    ({ device }) => {
      const buffer = device.createBuffer({ size: 4, usage: COPY_DST });
      expect(() => {
        (buffer as { size: number }).size = 8;
      }).toThrow(TypeError);
      expect(() => {
        (device as unknown as { queue: unknown }).queue = null;
      }).toThrow(TypeError);
      expect(buffer.size).toBe(4);
    },
    { deviation: 'attributes that hold objects are properties of their own' },
  );

  parity('methods are enumerable properties of the prototype, and writable', ({ globals, device }) => {
    for (const name of ['createBuffer', 'destroy', 'createShaderModule'] as const) {
      const property = Object.getOwnPropertyDescriptor(globals.GPUDevice.prototype, name);
      expect(property, name).toMatchObject({ enumerable: true, configurable: true, writable: true });
      expect(property?.value, name).toBe(device[name]);
    }
  });

  parity(
    'methods have the name and length of the IDL',
    ({ globals }) => {
      for (const [name, methods] of Object.entries(required)) {
        const { prototype } = classOf(globals, name);
        for (const [method, length] of Object.entries(methods)) {
          const found = (prototype as Record<string, { name: string; length: number } | undefined>)[method];
          expect([found?.name, found?.length], `${name}.${method}`).toEqual([method, length]);
        }
      }
    },
    { deviation: 'methods are as its binding makes them' },
  );

  parity('arguments beyond those of the IDL are ignored', async ({ device, valid }) => {
    const create = device.createBuffer.bind(device) as (...args: unknown[]) => GPUBuffer;
    expect((await valid(() => create({ size: 8, usage: COPY_DST }, 'more', 3))).size).toBe(8);
  });

  parity('a method without its required arguments throws a TypeError', ({ device }) => {
    const bare = (method: unknown, self: unknown) => () => (method as () => unknown).call(self);
    const encoder = device.createCommandEncoder();
    for (const [method, self] of [
      [device.pushErrorScope, device],
      [device.queue.submit, device.queue],
      [device.queue.writeBuffer, device.queue],
      [encoder.clearBuffer, encoder],
      [encoder.copyBufferToBuffer, encoder],
    ]) {
      expect(thrown(bare(method, self)), String(method)).toBeInstanceOf(TypeError);
    }
  });
});
