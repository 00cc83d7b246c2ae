import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import {
  canvas,
  cover,
  pass,
  TEXTURE_BINDING,
  TEXTURE_COPY_DST,
  TEXTURE_COPY_SRC,
} from './render-support.js';
import { bufferOf, COMPUTE, COPY_SRC, INDEX, VERTEX } from './support.js';

/** A device of another GPU: on Farlight, of another session. */
async function another({ newGpu }: Subject): Promise<GPUDevice> {
  const adapter = await (await newGpu()).requestAdapter();
  return (adapter as GPUAdapter).requestDevice();
}

/** `act` raises a validation error. Farlight's message has no counterpart in Dawn. */
async function refused({ scoped, globals }: Subject, act: () => unknown): Promise<void> {
  expect(await scoped('validation', act)).toBeInstanceOf(globals.GPUValidationError);
}

const usage = TEXTURE_BINDING | TEXTURE_COPY_DST | TEXTURE_COPY_SRC;

describe('render objects of another GPU', () => {
  parity('textures and views of another GPU are rejected as attachments', async (t) => {
    const theirs = canvas(await another(t));
    await refused(t, () => pass(t.device, theirs));
    await refused(t, () => pass(t.device, theirs.createView()));
    await refused(t, () =>
      pass(t.device, canvas(t.device), () => {}, { attachment: { resolveTarget: theirs.createView() } }),
    );
  });

  parity('textures, views and samplers of another GPU are rejected in bind groups', async (t) => {
    const { device } = t;
    const other = await another(t);
    const theirs = canvas(other, { usage });
    const attempt = (entry: Partial<GPUBindGroupLayoutEntry>, resource: unknown) =>
      refused(t, () =>
        device.createBindGroup({
          layout: device.createBindGroupLayout({ entries: [{ binding: 0, visibility: COMPUTE, ...entry }] }),
          entries: [{ binding: 0, resource: resource as GPUBindingResource }],
        }),
      );
    await attempt({ texture: {} }, theirs);
    await attempt({ texture: {} }, theirs.createView());
    await attempt({ sampler: {} }, other.createSampler());
  });

  parity('textures of another GPU are rejected in copies and writes', async (t) => {
    const { device } = t;
    const [mine, theirs] = [canvas(device, { usage }), canvas(await another(t), { usage })];
    await refused(t, () => device.queue.writeTexture({ texture: theirs }, new Uint8Array(4), {}, [1]));
    const encoder = device.createCommandEncoder();
    await t.valid(() => encoder.copyTextureToTexture({ texture: mine }, { texture: theirs }, [1]));
    await refused(t, () => encoder.finish());
  });

  const uses: [what: string, use: (mine: GPURenderPassEncoder, other: GPUDevice) => void][] = [
    ['a pipeline', (mine, other) => mine.setPipeline(cover(other))],
    ['a vertex buffer', (mine, other) => mine.setVertexBuffer(0, bufferOf(other, VERTEX, new Uint8Array(4)))],
    ['indices', (mine, other) => mine.setIndexBuffer(bufferOf(other, INDEX, new Uint8Array(4)), 'uint16')],
    [
      'a bundle',
      (mine, other) => {
        mine.executeBundles([other.createRenderBundleEncoder({ colorFormats: ['rgba8unorm'] }).finish()]);
      },
    ],
    [
      'a bind group',
      (mine, other) => {
        const layout = other.createBindGroupLayout({ entries: [] });
        mine.setBindGroup(0, other.createBindGroup({ layout, entries: [] }));
      },
    ],
  ];
  for (const [what, use] of uses) {
    parity(`${what} of another GPU in a pass is an error of finish`, async (t) => {
      const other = await another(t);
      await refused(t, () => pass(t.device, canvas(t.device), (mine) => use(mine, other)));
    });
  }

  parity('a module of another GPU is rejected in a pipeline', async (t) => {
    const module = (await another(t)).createShaderModule({
      code: '@vertex fn v() -> @builtin(position) vec4f { return vec4f(); }',
    });
    const depthStencil = { format: 'stencil8' } as const;
    await refused(t, () =>
      t.device.createRenderPipeline({ layout: 'auto', vertex: { module }, depthStencil }),
    );
  });

  parity('objects of another GPU neither end the session nor touch our objects', async (t) => {
    const theirs = canvas(await another(t));
    const buffer = bufferOf(t.device, COPY_SRC, new Uint8Array(4));
    await refused(t, () => pass(t.device, theirs));
    await t.valid(() => pass(t.device, canvas(t.device)));
    expect(buffer.size).toBe(4);
  });
});
