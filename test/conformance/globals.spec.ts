import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';

describe('globals', () => {
  parity('the constants have the values of the specification', ({ globals }) => {
    expect({ ...globals.GPUBufferUsage }).toEqual({
      MAP_READ: 0x1,
      MAP_WRITE: 0x2,
      COPY_SRC: 0x4,
      COPY_DST: 0x8,
      INDEX: 0x10,
      VERTEX: 0x20,
      UNIFORM: 0x40,
      STORAGE: 0x80,
      INDIRECT: 0x100,
      QUERY_RESOLVE: 0x200,
    });
    expect({ ...globals.GPUMapMode }).toEqual({ READ: 1, WRITE: 2 });
    expect({ ...globals.GPUShaderStage }).toEqual({ VERTEX: 1, FRAGMENT: 2, COMPUTE: 4 });
    expect({ ...globals.GPUColorWrite }).toEqual({ RED: 1, GREEN: 2, BLUE: 4, ALPHA: 8, ALL: 15 });
    expect({ ...globals.GPUTextureUsage }).toEqual({
      COPY_SRC: 1,
      COPY_DST: 2,
      TEXTURE_BINDING: 4,
      STORAGE_BINDING: 8,
      RENDER_ATTACHMENT: 16,
      TRANSIENT_ATTACHMENT: 32,
    });
  });

  parity(
    'constants cannot be changed',
    ({ globals }) => {
      expect(Object.getOwnPropertyDescriptor(globals.GPUBufferUsage, 'MAP_READ')).toEqual({
        value: support.MAP_READ,
        writable: false,
        enumerable: true,
        configurable: false,
      });
    },
    { deviation: 'namespaces of constants are classes' },
  );

  parity(
    'namespaces are tagged with their names',
    ({ globals }) => {
      for (const name of ['GPUBufferUsage', 'GPUMapMode', 'GPUShaderStage', 'GPUColorWrite'] as const) {
        expect(Object.prototype.toString.call(globals[name])).toBe(`[object ${name}]`);
        expect(globals[name]).toBeTypeOf('object');
      }
    },
    { deviation: 'namespaces of constants are classes' },
  );

  parity('every interface is a global of its name', ({ globals }) => {
    for (const name of [
      'GPU',
      'GPUAdapter',
      'GPUAdapterInfo',
      'GPUBindGroup',
      'GPUBindGroupLayout',
      'GPUBuffer',
      'GPUCommandBuffer',
      'GPUCommandEncoder',
      'GPUCompilationInfo',
      'GPUCompilationMessage',
      'GPUComputePassEncoder',
      'GPUComputePipeline',
      'GPUDevice',
      'GPUDeviceLostInfo',
      'GPUError',
      'GPUInternalError',
      'GPUOutOfMemoryError',
      'GPUPipelineError',
      'GPUPipelineLayout',
      'GPUQuerySet',
      'GPUQueue',
      'GPURenderBundle',
      'GPURenderBundleEncoder',
      'GPURenderPassEncoder',
      'GPURenderPipeline',
      'GPUSampler',
      'GPUShaderModule',
      'GPUSupportedFeatures',
      'GPUSupportedLimits',
      'GPUTexture',
      'GPUTextureView',
      'GPUUncapturedErrorEvent',
      'GPUValidationError',
      'WGSLLanguageFeatures',
    ] as const) {
      expect(globals[name], name).toBeTypeOf('function');
      expect(globals[name].name).toBe(name);
      expect(globals[name].prototype.constructor, name).toBe(globals[name]);
    }
  });

  parity('interfaces are tagged on their prototypes', ({ globals }) => {
    for (const name of ['GPUBuffer', 'GPUDevice', 'GPUQueue', 'GPUSupportedLimits', 'GPUError'] as const) {
      const prototype = globals[name].prototype as unknown as Record<symbol, unknown>;
      expect(prototype[Symbol.toStringTag]).toBe(name);
    }
  });
});
