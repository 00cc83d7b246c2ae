import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COMPUTE, COPY_SRC, STORAGE, thrown, u32sOf } from './support.js';

/** Writes `value`, an expression, into a buffer of one number. */
const writes = (value: string, declarations = '') => `
  ${declarations}
  @group(0) @binding(0) var<storage, read_write> out: u32;
  @compute @workgroup_size(1) fn main() { out = ${value}; }`;

async function result(device: GPUDevice, pipeline: GPUComputePipeline): Promise<number | undefined> {
  const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
  device.queue.submit([support.dispatch(device, pipeline, support.bindGroup(device, pipeline, [out]))]);
  return (await u32sOf(device, out))[0];
}

describe('GPUComputePipeline', () => {
  parity(
    'a pipeline runs its shader, with an auto or explicit layout',
    async ({ device, globals, valid }) => {
      const module = device.createShaderModule({ code: writes('7u') });
      const bindGroupLayout = device.createBindGroupLayout({
        entries: [{ binding: 0, visibility: COMPUTE, buffer: { type: 'storage' } }],
      });
      const explicit = device.createPipelineLayout({ bindGroupLayouts: [bindGroupLayout] });
      for (const layout of ['auto', explicit] as const) {
        const pipeline = await valid(() =>
          device.createComputePipeline({ label: 'seven', layout, compute: { module, entryPoint: 'main' } }),
        );
        expect(pipeline).toBeInstanceOf(globals.GPUComputePipeline);
        expect(pipeline.label).toBe('seven');
        expect(await result(device, pipeline)).toBe(7);
      }
    },
  );

  parity('a single entry point need not be named', async ({ device }) => {
    const module = device.createShaderModule({ code: writes('8u') });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    expect(await result(device, pipeline)).toBe(8);
  });

  parity('constants override by name and id, and keep their defaults otherwise', async ({ device }) => {
    const declarations = `
      override base: u32 = 1;
      @id(20) override factor: u32 = 2;
      override flag: bool = false;
      override half: f32 = 0.25;`;
    const code = writes(
      'base * 1000u + factor * 100u + select(0u, 10u, flag) + u32(half * 4.0)',
      declarations,
    );
    const module = device.createShaderModule({ code });
    const run = (constants?: Record<string, number>) =>
      result(
        device,
        device.createComputePipeline({
          layout: 'auto',
          compute: { module, ...(constants && { constants }) },
        }),
      );
    expect(await run()).toBe(1201);
    expect(await run({ base: 3, 20: 4, flag: 1, half: 1.25 })).toBe(3415);
    expect(await run({ flag: 7 })).toBe(1211);
  });

  parity('a workgroup size can be a constant', async ({ device, valid, invalid }) => {
    const code = 'override size: u32; @compute @workgroup_size(size) fn main() {}';
    const module = device.createShaderModule({ code });
    const make = (size: number) => () =>
      device.createComputePipeline({ layout: 'auto', compute: { module, constants: { size } } });
    await valid(make(64));
    await invalid(make(device.limits.maxComputeWorkgroupSizeX + 1));
    await invalid(make(0));
  });

  const code = `
    override needed: u32;
    @compute @workgroup_size(1) fn one() { _ = needed; }
    @compute @workgroup_size(1) fn two() {}
    @fragment fn paint() {}`;
  const wrong: [why: string, stage: Omit<GPUProgrammableStage, 'module'>][] = [
    ['several entry points and no name', {}],
    ['an entry point that does not exist', { entryPoint: 'three' }],
    ['an entry point of another stage', { entryPoint: 'paint' }],
    ['a constant without a value', { entryPoint: 'one' }],
    ['a constant that does not exist', { entryPoint: 'two', constants: { other: 1 } }],
    ['a constant that does not fit its type', { entryPoint: 'one', constants: { needed: -1 } }],
  ];
  for (const [why, stage] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      const module = device.createShaderModule({ code });
      await invalid(() =>
        device.createComputePipeline({ label: 'wrong', layout: 'auto', compute: { module, ...stage } }),
      );
    });
  }

  parity('a constant that is not a finite number throws a TypeError', ({ device }) => {
    const module = device.createShaderModule({ code });
    for (const needed of [Number.NaN, Number.POSITIVE_INFINITY, undefined]) {
      const compute = { module, entryPoint: 'one', constants: { needed: needed as number } };
      expect(thrown(() => device.createComputePipeline({ layout: 'auto', compute }))).toBeInstanceOf(
        TypeError,
      );
    }
  });

  parity('an invalid module makes an invalid pipeline, each time', async ({ device, scoped, invalid }) => {
    let module: GPUShaderModule | undefined;
    await scoped('validation', () => {
      module = device.createShaderModule({ code: 'broken', label: 'broken' });
    });
    const compute = { module: module as GPUShaderModule };
    await invalid(() => device.createComputePipeline({ layout: 'auto', compute }));
    await invalid(() => device.createComputePipeline({ layout: 'auto', compute }));
  });

  parity('a layout without a binding of the shader is a validation error', async ({ device, invalid }) => {
    const module = device.createShaderModule({ code: writes('7u') });
    const none = device.createPipelineLayout({ bindGroupLayouts: [] });
    await invalid(() => device.createComputePipeline({ layout: none, compute: { module } }));
    const uniform = device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: COMPUTE, buffer: { type: 'uniform' } }],
    });
    const other = device.createPipelineLayout({ bindGroupLayouts: [uniform] });
    await invalid(() => device.createComputePipeline({ layout: other, compute: { module } }));
  });

  parity('an invalid pipeline makes its users invalid', async ({ device, scoped, invalid }) => {
    const module = device.createShaderModule({ code });
    let pipeline: GPUComputePipeline | undefined;
    await scoped('validation', () => {
      pipeline = device.createComputePipeline({ label: 'bad', layout: 'auto', compute: { module } });
    });
    await invalid(() => (pipeline as GPUComputePipeline).getBindGroupLayout(0));
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline as GPUComputePipeline);
    pass.end();
    await invalid(() => encoder.finish());
  });

  parity("another device's module is a validation error", async ({ device, newDevice, invalid }) => {
    const module = (await newDevice()).createShaderModule({ code: writes('1u'), label: 'foreign' });
    await invalid(() => device.createComputePipeline({ layout: 'auto', compute: { module } }));
  });

  parity('a missing required member throws a TypeError', ({ device }) => {
    const module = device.createShaderModule({ code: writes('1u') });
    const make = (descriptor: unknown) => () => device.createComputePipeline(descriptor as never);
    expect(thrown(make({ compute: { module } }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ layout: 'auto', compute: {} }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ layout: 'manual', compute: { module } }))).toBeInstanceOf(TypeError);
  });
});

describe('GPUComputePipeline.getBindGroupLayout', () => {
  const twoGroups = `
    @group(0) @binding(0) var<storage, read_write> out: u32;
    @group(2) @binding(1) var<uniform> factor: u32;
    @compute @workgroup_size(1) fn main() { out = factor; }`;
  const make = (device: GPUDevice) =>
    device.createComputePipeline({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code: twoGroups }) },
    });

  parity('getBindGroupLayout returns a new object each time', ({ device, globals }) => {
    const pipeline = make(device);
    const layout = pipeline.getBindGroupLayout(0);
    expect(layout).toBeInstanceOf(globals.GPUBindGroupLayout);
    expect(pipeline.getBindGroupLayout(0)).not.toBe(layout);
  });

  parity('getBindGroupLayout returns an empty layout for an unused group', async ({ device, valid }) => {
    const layout = await valid(() => make(device).getBindGroupLayout(1));
    await valid(() => device.createBindGroup({ layout, entries: [] }));
  });

  parity('a group beyond the last used one', async ({ device, scoped, observe }) => {
    const error = await scoped('validation', () => make(device).getBindGroupLayout(3));
    observe('error', error?.message ?? null);
  });

  parity('an index at the limit is a validation error', async ({ device, invalid }) => {
    await invalid(() => make(device).getBindGroupLayout(device.limits.maxBindGroups));
  });

  parity('a bind group of an auto layout fits only its own pipeline', async ({ device, valid, invalid }) => {
    const [mine, twin] = [make(device), make(device)];
    const out = device.createBuffer({ size: 4, usage: STORAGE });
    const factor = device.createBuffer({ size: 4, usage: 0x40 });
    const groups = (pipeline: GPUComputePipeline) => [
      support.bindGroup(device, pipeline, [out]),
      device.createBindGroup({ layout: pipeline.getBindGroupLayout(1), entries: [] }),
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(2),
        entries: [{ binding: 1, resource: { buffer: factor } }],
      }),
    ];
    await valid(() => support.dispatch(device, mine, ...groups(mine)));
    await invalid(() => support.dispatch(device, twin, ...groups(mine)));
  });

  parity('bind group layouts of an explicit layout are interchangeable', async ({ device, valid }) => {
    const module = device.createShaderModule({ code: writes('1u') });
    const bindGroupLayout = () =>
      device.createBindGroupLayout({
        entries: [{ binding: 0, visibility: COMPUTE, buffer: { type: 'storage' } }],
      });
    const pipeline = (layout: GPUBindGroupLayout) =>
      device.createComputePipeline({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module },
      });
    const [mine, twin] = [pipeline(bindGroupLayout()), pipeline(bindGroupLayout())];
    const out = device.createBuffer({ size: 4, usage: STORAGE });
    await valid(() => support.dispatch(device, twin, support.bindGroup(device, mine, [out])));
  });
});
