import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COVER, pipelineDescriptor } from './render-support.js';
import { rejection, thrown } from './support.js';

describe('GPUDevice.createRenderPipeline', () => {
  const wrong: [why: string, more: (module: GPUShaderModule) => object][] = [
    ['an entry point that does not exist', (module) => ({ vertex: { module, entryPoint: 'missing' } })],
    ['an entry point of another stage', (module) => ({ vertex: { module, entryPoint: 'color' } })],
    ['a constant that does not exist', (module) => ({ vertex: { module, constants: { missing: 1 } } })],
    ['no output at all', () => ({ fragment: undefined })],
    [
      'a format that cannot be drawn to',
      (module) => ({ fragment: { module, targets: [{ format: 'rgb9e5ufloat' }] } }),
    ],
    ['a format of another type', (module) => ({ fragment: { module, targets: [{ format: 'rgba8uint' }] } })],
    [
      'a write mask that does not exist',
      (module) => ({ fragment: { module, targets: [{ format: 'rgba8unorm', writeMask: 0x10 }] } }),
    ],
    [
      'a blend of integers',
      (module) => ({
        fragment: { module, targets: [{ format: 'r32float', blend: { color: {}, alpha: {} } }] },
      }),
    ],
    ['a strip format without a strip', () => ({ primitive: { stripIndexFormat: 'uint16' } })],
    ['unclipped depth without its feature', () => ({ primitive: { unclippedDepth: true } })],
    ['a sample count that does not exist', () => ({ multisample: { count: 2 } })],
    ['a color format for depth', () => ({ depthStencil: { format: 'rgba8unorm' } })],
    ['depth without a comparison', () => ({ depthStencil: { format: 'depth24plus' } })],
    [
      'a stride that is not a multiple of four',
      (module) => ({ vertex: { module, buffers: [{ arrayStride: 6, attributes: [] }] } }),
    ],
    [
      'an attribute beyond its stride',
      (module) => ({
        vertex: {
          module,
          buffers: [{ arrayStride: 4, attributes: [{ format: 'float32x2', offset: 0, shaderLocation: 0 }] }],
        },
      }),
    ],
  ];
  for (const [why, more] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      const module = device.createShaderModule({ code: COVER });
      await invalid(() => device.createRenderPipeline(pipelineDescriptor(device, more(module))));
    });
  }

  parity('a format without its feature throws a TypeError', async ({ device, valid }) => {
    const module = device.createShaderModule({ code: COVER });
    const targets = [{ format: 'bc1-rgba-unorm' }];
    const depthStencil = { format: 'depth32float-stencil8', depthWriteEnabled: true, depthCompare: 'less' };
    await valid(async () => {
      for (const more of [{ fragment: { module, targets } }, { depthStencil }]) {
        expect(thrown(() => device.createRenderPipeline(pipelineDescriptor(device, more)))).toBeInstanceOf(
          TypeError,
        );
        expect(
          await rejection(device.createRenderPipelineAsync(pipelineDescriptor(device, more))),
        ).toBeInstanceOf(TypeError);
      }
    });
  });

  parity('unknown values and missing members throw a TypeError', ({ device }) => {
    const module = device.createShaderModule({ code: COVER });
    for (const more of [
      { layout: 'automatic' },
      { vertex: {} },
      { primitive: { topology: 'quads' } },
      { primitive: { cullMode: 'both' } },
      { multisample: { count: -1 } },
      { fragment: { module } },
      { fragment: { module, targets: [{}] } },
      { depthStencil: { format: 'depth24plus', depthBiasClamp: Number.NaN } },
      { depthStencil: { format: 'depth24plus', depthBias: 2 ** 31 } },
    ]) {
      const make = () => device.createRenderPipeline(pipelineDescriptor(device, more));
      expect(thrown(make), JSON.stringify(more)).toBeInstanceOf(TypeError);
    }
  });

  parity(
    'a blend without its alpha throws a TypeError',
    ({ device }) => {
      const module = device.createShaderModule({ code: COVER });
      const targets = [{ format: 'rgba8unorm', blend: { color: {} } }];
      const make = () =>
        device.createRenderPipeline(pipelineDescriptor(device, { fragment: { module, targets } }));
      expect(thrown(make)).toBeInstanceOf(TypeError);
    },
    { deviation: 'null or undefined for a dictionary crashes it' },
  );

  parity('an invalid module makes an invalid pipeline', async ({ device, scoped, invalid }) => {
    let module: GPUShaderModule | undefined;
    await scoped('validation', () => {
      module = device.createShaderModule({ code: 'broken', label: 'broken' });
    });
    let pipeline: GPURenderPipeline | undefined;
    await invalid(() => {
      pipeline = device.createRenderPipeline({
        layout: 'auto',
        vertex: { module: module as GPUShaderModule },
      });
    });
    await invalid(() => pipeline?.getBindGroupLayout(0));
  });
});
