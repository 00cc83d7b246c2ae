import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COVER, canvas, draw, filled, GREEN, picture, RED } from './render-support.js';
import { rejection } from './support.js';

const names = { r: RED, g: GREEN };
const GREEN_CONSTANTS = { r: 0, g: 1 };

function descriptor(
  device: GPUDevice,
  fragment: Partial<GPUFragmentState> = {},
): GPURenderPipelineDescriptor {
  const module = device.createShaderModule({ code: COVER });
  return {
    label: 'async',
    layout: 'auto',
    vertex: { module },
    fragment: { module, targets: [{ format: 'rgba8unorm' }], ...fragment },
  };
}

describe('GPUDevice.createRenderPipelineAsync', () => {
  parity('createRenderPipelineAsync resolves with a pipeline that draws', async ({ device, globals }) => {
    const pipeline = await device.createRenderPipelineAsync(
      descriptor(device, { constants: GREEN_CONSTANTS }),
    );
    expect(pipeline).toBeInstanceOf(globals.GPURenderPipeline);
    expect(pipeline.label).toBe('async');
    const target = canvas(device);
    draw(device, target, (pass) => {
      pass.setPipeline(pipeline);
      pass.draw(3);
    });
    expect(await picture(device, target, names)).toEqual(filled('g'));
  });

  parity('several pending pipelines resolve, each with its own', async ({ device }) => {
    const pipelines = await Promise.all([
      device.createRenderPipelineAsync(descriptor(device)),
      device.createRenderPipelineAsync(descriptor(device, { constants: GREEN_CONSTANTS })),
    ]);
    const pictures: string[][] = [];
    for (const pipeline of pipelines) {
      const target = canvas(device, { size: [1, 1] });
      draw(device, target, (pass) => {
        pass.setPipeline(pipeline);
        pass.draw(3);
      });
      pictures.push(await picture(device, target, names));
    }
    expect(pictures).toEqual([['r'], ['g']]);
  });

  parity(
    'an invalid pipeline rejects with a GPUPipelineError of reason "validation", and no scope sees it',
    async (t) => {
      await t.valid(async () => {
        const reason = await rejection(
          t.device.createRenderPipelineAsync(descriptor(t.device, { entryPoint: 'missing' })),
        );
        expect(reason).toBeInstanceOf(t.globals.GPUPipelineError);
        expect((reason as unknown as GPUPipelineError).reason).toBe('validation');
        t.observe('message', reason.message);
      });
    },
  );

  parity('a failed pipeline does not stop others', async ({ device }) => {
    const found = await Promise.allSettled([
      device.createRenderPipelineAsync(descriptor(device)),
      device.createRenderPipelineAsync(descriptor(device, { entryPoint: 'missing' })),
      device.createRenderPipelineAsync(descriptor(device)),
    ]);
    expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  parity('a wrong argument rejects with a TypeError', async ({ device }) => {
    expect(await rejection(device.createRenderPipelineAsync({} as never))).toBeInstanceOf(TypeError);
  });
});
