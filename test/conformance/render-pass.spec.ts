import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLUE,
  bytesOfTexture,
  canvas,
  cover,
  draw,
  filled,
  GREEN,
  NOTHING,
  pass,
  picture,
  RED,
  RENDER_ATTACHMENT,
  TEXTURE_COPY_SRC,
  texelsOf,
} from './render-support.js';
import { thrown } from './support.js';

const names = { r: RED, g: GREEN, b: BLUE, '.': NOTHING };
const attachment = (more: object) => ({ attachment: more as Partial<GPURenderPassColorAttachment> });

describe('GPUCommandEncoder.beginRenderPass', () => {
  parity('a render pass has its label', ({ device, globals }) => {
    const encoder = device.createCommandEncoder();
    const encoded = encoder.beginRenderPass({
      label: 'seen',
      colorAttachments: [{ view: canvas(device), loadOp: 'clear', storeOp: 'store' }],
    });
    expect(encoded).toBeInstanceOf(globals.GPURenderPassEncoder);
    expect(encoded.label).toBe('seen');
    encoded.end();
  });

  parity(
    'a render pass clears to a color, given as a sequence or dictionary, and to zeros without one',
    async ({ device }) => {
      const clear = async (clearValue: GPUColor | undefined) => {
        const target = canvas(device, { size: [1, 1] });
        draw(device, target, () => {}, attachment({ clearValue }));
        return (await texelsOf(device, target))[0];
      };
      expect(await clear([1, 0, 0, 1])).toEqual(RED);
      expect(await clear({ r: 0, g: 1, b: 0, a: 1 })).toEqual(GREEN);
      expect(await clear([0.2, 2, -1, 0.6])).toEqual([51, 255, 0, 153]);
      expect(await clear(undefined)).toEqual(NOTHING);
    },
  );

  parity(
    'a color is a sequence of 4 numbers',
    ({ device }) => {
      for (const clearValue of [[], [0, 0, 0], [0, 0, 0, 0, 0]]) {
        const act = () => pass(device, canvas(device), () => {}, attachment({ clearValue }));
        expect(thrown(act), String(clearValue)).toBeInstanceOf(TypeError);
      }
    },
    { deviation: 'sequences of coordinates have any length' },
  );

  parity('a malformed color throws a TypeError', ({ device }) => {
    for (const clearValue of [{ r: 1, g: 1, b: 1 }, 'red', 1, ['r', 'g', 'b', 'a']]) {
      const act = () => pass(device, canvas(device), () => {}, attachment({ clearValue }));
      expect(thrown(act), String(clearValue)).toBeInstanceOf(TypeError);
    }
  });

  parity(
    'a color has finite numbers',
    ({ device }) => {
      for (const clearValue of [[Number.NaN, 0, 0, 0], { r: Number.POSITIVE_INFINITY, g: 0, b: 0, a: 0 }]) {
        const act = () => pass(device, canvas(device), () => {}, attachment({ clearValue }));
        expect(thrown(act), String(clearValue)).toBeInstanceOf(TypeError);
      }
    },
    { deviation: 'numbers need not be finite' },
  );

  parity('load keeps the contents, and discard leaves zeros', async ({ device }) => {
    const target = canvas(device, { size: [1, 1] });
    draw(device, target, () => {}, attachment({ clearValue: [1, 0, 0, 1] }));
    draw(device, target, () => {}, attachment({ loadOp: 'load' }));
    expect(await texelsOf(device, target)).toEqual([RED]);
    draw(device, target, () => {}, attachment({ loadOp: 'load', storeOp: 'discard' }));
    expect(await texelsOf(device, target)).toEqual([NOTHING]);
  });

  parity('a texture stands for its whole view', async ({ device, valid }) => {
    const target = canvas(device);
    await valid(() => draw(device, target, () => {}, attachment({ clearValue: [0, 0, 1, 1] })));
    expect(await picture(device, target, names)).toEqual(filled('b'));
  });

  parity(
    'a render pass draws to several targets at once, some of which may be absent',
    async ({ device }) => {
      const module = device.createShaderModule({
        code: `
        struct Out { @location(0) first: vec4f, @location(2) third: vec4f }
        @vertex fn v(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
          return vec4f(f32(i & 1u) * 4 - 1, f32(i >> 1u) * 4 - 1, 0, 1);
        }
        @fragment fn f() -> Out { return Out(vec4f(1, 0, 0, 1), vec4f(0, 1, 0, 1)); }`,
      });
      const pipeline = device.createRenderPipeline({
        layout: 'auto',
        vertex: { module },
        fragment: { module, targets: [{ format: 'rgba8unorm' }, null, { format: 'rgba8unorm' }] },
      });
      const [first, third] = [canvas(device), canvas(device)];
      const target = (view: GPUTexture) => ({ view, loadOp: 'clear', storeOp: 'store' }) as const;
      draw(
        device,
        first,
        (encoded) => {
          encoded.setPipeline(pipeline);
          encoded.draw(3);
        },
        { colorAttachments: [target(first), null, target(third)] },
      );
      expect(await picture(device, first, names)).toEqual(filled('r'));
      expect(await picture(device, third, names)).toEqual(filled('g'));
    },
  );

  parity('a render pass resolves samples into a target', async ({ device }) => {
    const samples = canvas(device, { sampleCount: 4, usage: RENDER_ATTACHMENT });
    const target = canvas(device);
    draw(
      device,
      samples.createView(),
      (encoded) => {
        encoded.setPipeline(cover(device, 'green', { multisample: { count: 4 } }));
        encoded.draw(3);
      },
      attachment({ resolveTarget: target.createView(), storeOp: 'discard' }),
    );
    expect(await picture(device, target, names)).toEqual(filled('g'));
  });

  parity('textures may be given in place of views, also for resolving', async ({ device, valid }) => {
    const samples = canvas(device, { sampleCount: 4, usage: RENDER_ATTACHMENT });
    const target = canvas(device);
    await valid(() =>
      draw(device, samples, () => {}, attachment({ resolveTarget: target, clearValue: [1, 0, 0, 1] })),
    );
    expect(await picture(device, target, names)).toEqual(filled('r'));
  });

  parity('a render pass draws to one slice of a 3d texture', async ({ device }) => {
    const target = canvas(device, { size: [8, 8, 3], dimension: '3d' });
    draw(device, target.createView(), () => {}, attachment({ depthSlice: 1, clearValue: [1, 0, 0, 1] }));
    expect(await picture(device, target, names, { layer: 0 })).toEqual(filled('.'));
    expect(await picture(device, target, names, { layer: 1 })).toEqual(filled('r'));
  });

  parity('with depth the nearer fragment wins, whatever is drawn last', async ({ device }) => {
    const format = 'depth32float';
    const depth = canvas(device, { format, usage: RENDER_ATTACHMENT | TEXTURE_COPY_SRC });
    const target = canvas(device);
    const depthStencil = { format, depthWriteEnabled: true, depthCompare: 'less' } as const;
    draw(
      device,
      target,
      (encoded) => {
        encoded.setPipeline(cover(device, 'green', { depthStencil, z: 0.25 }));
        encoded.draw(3);
        encoded.setPipeline(cover(device, 'red', { depthStencil, z: 0.5 }));
        encoded.draw(3);
      },
      {
        depthStencilAttachment: {
          view: depth.createView(),
          depthClearValue: 1,
          depthLoadOp: 'clear',
          depthStoreOp: 'store',
        },
      },
    );
    expect(await picture(device, target, names)).toEqual(filled('g'));
    const stored = new Float32Array((await bytesOfTexture(device, depth)).buffer);
    expect(new Set(stored)).toEqual(new Set([0.25]));
  });

  parity('a render pass may have only depth', async ({ device }) => {
    const depth = canvas(device, { format: 'depth16unorm', size: [2, 2] });
    draw(device, depth, () => {}, {
      colorAttachments: [],
      depthStencilAttachment: {
        view: depth,
        depthClearValue: 0.5,
        depthLoadOp: 'clear',
        depthStoreOp: 'store',
      },
    });
    const stored = new Uint16Array((await bytesOfTexture(device, depth, { bytesPerTexel: 2 })).buffer);
    expect([...stored]).toEqual([32768, 32768, 32768, 32768]);
  });

  parity(
    'a render pass writes timestamps at its beginning and end',
    async ({ device, valid }) => {
      const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
      await valid(() =>
        draw(device, canvas(device), () => {}, {
          timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
        }),
      );
    },
    { features: ['timestamp-query'] },
  );
});
