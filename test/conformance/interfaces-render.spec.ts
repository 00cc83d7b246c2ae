import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import { canvas, cover } from './render-support.js';
import { thrown } from './support.js';

/** One object of each render interface. */
function instances({ device }: Subject): Record<string, object> {
  const texture = canvas(device);
  const pass = device.createCommandEncoder().beginRenderPass({
    colorAttachments: [{ view: texture, loadOp: 'clear', storeOp: 'store' }],
  });
  const bundles = device.createRenderBundleEncoder({ colorFormats: ['rgba8unorm'] });
  return {
    GPURenderBundle: bundles.finish(),
    GPURenderBundleEncoder: bundles,
    GPURenderPassEncoder: pass,
    GPURenderPipeline: cover(device),
    GPUSampler: device.createSampler(),
    GPUTexture: texture,
    GPUTextureView: texture.createView(),
  };
}

const shared = {
  draw: 1,
  drawIndexed: 1,
  drawIndexedIndirect: 2,
  drawIndirect: 2,
  insertDebugMarker: 1,
  popDebugGroup: 0,
  pushDebugGroup: 1,
  setBindGroup: 2,
  setImmediates: 2,
  setIndexBuffer: 2,
  setPipeline: 1,
  setVertexBuffer: 2,
};

/** The methods of render interfaces, with their number of required arguments. */
const required: Record<string, Record<string, number>> = {
  GPUCommandEncoder: {
    beginRenderPass: 1,
    copyBufferToTexture: 3,
    copyTextureToBuffer: 3,
    copyTextureToTexture: 3,
  },
  GPUDevice: {
    createRenderBundleEncoder: 1,
    createRenderPipeline: 1,
    createRenderPipelineAsync: 1,
    createSampler: 0,
    createTexture: 1,
    importExternalTexture: 1,
  },
  GPUQueue: { copyExternalImageToTexture: 3, writeTexture: 4 },
  GPURenderBundleEncoder: { finish: 0, ...shared },
  GPURenderPassEncoder: {
    beginOcclusionQuery: 1,
    end: 0,
    endOcclusionQuery: 0,
    executeBundles: 1,
    setBlendConstant: 1,
    setScissorRect: 4,
    setStencilReference: 1,
    setViewport: 6,
    ...shared,
  },
  GPURenderPipeline: { getBindGroupLayout: 1 },
  GPUTexture: { createView: 0, destroy: 0 },
};

type Class = { new (): unknown; prototype: object };
const classOf = (globals: Subject['globals'], name: string) =>
  globals[name as 'GPUTexture'] as unknown as Class;

describe('render interfaces', () => {
  parity(
    'render objects are instances of their interface, tagged with its name, and can be extended',
    (t) => {
      for (const [name, object] of Object.entries(instances(t))) {
        expect(object, name).toBeInstanceOf(classOf(t.globals, name));
        expect(Object.prototype.toString.call(object)).toBe(`[object ${name}]`);
        expect(Object.getPrototypeOf(object) === classOf(t.globals, name).prototype, name).toBe(true);
        expect(Object.isExtensible(object), name).toBe(true);
      }
    },
  );

  parity('constructors of render interfaces are illegal', (t) => {
    for (const name of Object.keys(instances(t))) {
      const Interface = classOf(t.globals, name);
      const act = () => new Interface();
      expect(thrown(act), name).toBeInstanceOf(TypeError);
    }
  });

  parity('a render method called on another object throws a TypeError', (t) => {
    const objects = instances(t);
    for (const [name, object] of Object.entries(objects)) {
      for (const method of Object.keys(required[name] ?? {})) {
        const call = (object as Record<string, () => unknown>)[method] as () => unknown;
        for (const self of [{}, undefined, t.device, classOf(t.globals, name).prototype]) {
          expect(
            thrown(() => call.call(self)),
            `${name}.${method}`,
          ).toBeInstanceOf(TypeError);
        }
      }
    }
  });

  parity(
    'render methods have the name and length of the IDL',
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

  parity('attributes of a texture are getters of the prototype, and cannot be assigned', (t) => {
    const texture = canvas(t.device);
    for (const attribute of [
      'width',
      'height',
      'depthOrArrayLayers',
      'mipLevelCount',
      'sampleCount',
      'dimension',
      'format',
      'usage',
      'textureBindingViewDimension',
      'label',
    ]) {
      const property = Object.getOwnPropertyDescriptor(t.globals.GPUTexture.prototype, attribute);
      expect(property?.get, attribute).toBeTypeOf('function');
      expect(property?.enumerable, attribute).toBe(true);
      expect(Object.hasOwn(texture, attribute), attribute).toBe(false);
    }
    expect(() => {
      (texture as { width: number }).width = 3;
    }).toThrow(TypeError);
    expect(texture.width).toBe(8);
  });
});
