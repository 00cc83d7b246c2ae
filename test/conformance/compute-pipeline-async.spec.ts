import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { bindGroup, COPY_SRC, dispatch, rejection, STORAGE, u32sOf } from './support.js';

const correct = `
  override value: u32 = 3;
  @group(0) @binding(0) var<storage, read_write> out: u32;
  @compute @workgroup_size(1) fn main() { out = value; }`;

describe('GPUDevice.createComputePipelineAsync', () => {
  parity('createComputePipelineAsync resolves with a pipeline that runs', async ({ device, globals }) => {
    const module = device.createShaderModule({ code: correct });
    const pipeline = await device.createComputePipelineAsync({
      label: 'async',
      layout: 'auto',
      compute: { module, constants: { value: 5 } },
    });
    expect(pipeline).toBeInstanceOf(globals.GPUComputePipeline);
    expect(pipeline.label).toBe('async');
    const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
    device.queue.submit([dispatch(device, pipeline, bindGroup(device, pipeline, [out]))]);
    expect(await u32sOf(device, out)).toEqual([5]);
  });

  parity('several pending pipelines resolve, each with its own', async ({ device }) => {
    const module = device.createShaderModule({ code: correct });
    const values = [11, 12, 13];
    const pipelines = await Promise.all(
      values.map((value) =>
        device.createComputePipelineAsync({ layout: 'auto', compute: { module, constants: { value } } }),
      ),
    );
    const found: number[] = [];
    for (const pipeline of pipelines) {
      const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
      device.queue.submit([dispatch(device, pipeline, bindGroup(device, pipeline, [out]))]);
      found.push(...(await u32sOf(device, out)));
    }
    expect(found).toEqual(values);
  });

  parity(
    'an invalid pipeline rejects with a GPUPipelineError of reason "validation", and no scope sees it',
    async (t) => {
      const { device, globals } = t;
      const module = device.createShaderModule({ code: correct });
      await t.valid(async () => {
        const reason = await rejection(
          device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'missing' } }),
        );
        expect(reason).toBeInstanceOf(globals.GPUPipelineError);
        expect(reason).toBeInstanceOf(DOMException);
        expect(reason.name).toBe('GPUPipelineError');
        expect((reason as unknown as GPUPipelineError).reason).toBe('validation');
        t.observe('message', reason.message);
      });
    },
  );

  parity('an invalid module rejects the pipeline', async ({ device, scoped, observe }) => {
    let module: GPUShaderModule | undefined;
    await scoped('validation', () => {
      module = device.createShaderModule({ code: 'broken', label: 'broken' });
    });
    const compute = { module: module as GPUShaderModule };
    const reason = await rejection(device.createComputePipelineAsync({ layout: 'auto', compute }));
    expect((reason as unknown as GPUPipelineError).reason).toBe('validation');
    observe('message', reason.message);
  });

  parity('a failed pipeline does not stop others', async ({ device, globals }) => {
    const module = device.createShaderModule({ code: correct });
    const make = (entryPoint: string) =>
      device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint } });
    const [first, second, third] = await Promise.allSettled([make('main'), make('missing'), make('main')]);
    expect([first.status, second.status, third.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((first as PromiseFulfilledResult<unknown>).value).toBeInstanceOf(globals.GPUComputePipeline);
  });

  parity('a wrong argument rejects with a TypeError', async ({ device }) => {
    expect(await rejection(device.createComputePipelineAsync({} as never))).toBeInstanceOf(TypeError);
  });
});
