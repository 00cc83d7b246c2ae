import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLACK,
  bytesOfTexture,
  canvas,
  cover,
  draw,
  FRAGMENT_STAGE,
  filled,
  GREEN,
  pass,
  picture,
  RED,
  RENDER_ATTACHMENT,
  TEXTURE_COPY_SRC,
  texelsOf,
} from './render-support.js';
import { bufferOf, thrown, UNIFORM } from './support.js';

const names = { r: RED, g: GREEN, k: BLACK };
const attachment = { clearValue: [0, 0, 0, 1] };

/** A red cover of everything, with this state. */
async function covered(device: GPUDevice, act: (pass: GPURenderPassEncoder) => void): Promise<string[]> {
  const target = canvas(device);
  draw(
    device,
    target,
    (encoded) => {
      encoded.setPipeline(cover(device));
      act(encoded);
      encoded.draw(3);
    },
    { attachment },
  );
  return picture(device, target, names);
}

/** Red from `left` to `right` and from `top` to `bottom`, in texels. */
const box = (left: number, top: number, right: number, bottom: number) =>
  Array.from({ length: 8 }, (_, y) =>
    Array.from({ length: 8 }, (__, x) => (x >= left && x < right && y >= top && y < bottom ? 'r' : 'k')).join(
      '',
    ),
  );

describe('GPURenderPassEncoder state', () => {
  parity('setScissorRect limits drawing to its inside', async ({ device }) => {
    expect(await covered(device, (encoded) => encoded.setScissorRect(1, 2, 3, 4))).toEqual(box(1, 2, 4, 6));
    expect(await covered(device, (encoded) => encoded.setScissorRect(0, 0, 0, 0))).toEqual(filled('k'));
  });

  parity('setViewport decides where clip space lands', async ({ device }) => {
    expect(await covered(device, (encoded) => encoded.setViewport(4, 2, 4, 4, 0, 1))).toEqual(
      box(4, 2, 8, 6),
    );
  });

  parity('setBlendConstant sets the factor of blending', async ({ device }) => {
    const blend: GPUBlendState = {
      color: { srcFactor: 'constant', dstFactor: 'one' },
      alpha: { srcFactor: 'zero', dstFactor: 'one' },
    };
    const blended = async (act: (encoded: GPURenderPassEncoder) => void) => {
      const target = canvas(device, { size: [1, 1] });
      draw(
        device,
        target,
        (encoded) => {
          encoded.setPipeline(cover(device, 'white', { target: { blend } }));
          act(encoded);
          encoded.draw(3);
        },
        { attachment },
      );
      return (await texelsOf(device, target))[0];
    };
    expect(await blended((encoded) => encoded.setBlendConstant([1, 0.2, 0, 1]))).toEqual([255, 51, 0, 255]);
    expect(await blended((encoded) => encoded.setBlendConstant({ r: 0, g: 1, b: 0, a: 0 }))).toEqual(GREEN);
    expect(await blended(() => {})).toEqual(BLACK);
  });

  parity(
    'a blend constant is a sequence of 4 numbers',
    ({ device }) => {
      pass(device, canvas(device), (encoded) => {
        for (const color of [[], [1, 1, 1], [1, 1, 1, 1, 1]]) {
          expect(
            thrown(() => encoded.setBlendConstant(color)),
            String(color),
          ).toBeInstanceOf(TypeError);
        }
      });
    },
    { deviation: 'sequences of coordinates have any length' },
  );

  parity('setStencilReference sets the compared and the stored value', async ({ device }) => {
    const format = 'stencil8';
    const stencil = canvas(device, { format, usage: RENDER_ATTACHMENT | TEXTURE_COPY_SRC });
    const target = canvas(device);
    const face = (compare: GPUCompareFunction) => ({ compare, passOp: 'replace' }) as const;
    const state = (compare: GPUCompareFunction): GPUDepthStencilState => ({
      format,
      stencilFront: face(compare),
      stencilBack: face(compare),
    });
    draw(
      device,
      target,
      (encoded) => {
        encoded.setPipeline(cover(device, 'red', { depthStencil: state('always') }));
        encoded.setStencilReference(5);
        encoded.setScissorRect(0, 0, 4, 8);
        encoded.draw(3);
        encoded.setPipeline(cover(device, 'green', { depthStencil: state('equal') }));
        encoded.setScissorRect(0, 0, 8, 8);
        encoded.draw(3);
        encoded.setStencilReference(0);
        encoded.setScissorRect(0, 4, 8, 4);
        encoded.draw(3);
      },
      {
        attachment,
        depthStencilAttachment: { view: stencil, stencilLoadOp: 'clear', stencilStoreOp: 'store' },
      },
    );
    const top = Array.from({ length: 4 }, () => 'ggggkkkk');
    const bottom = Array.from({ length: 4 }, () => 'gggggggg');
    expect(await picture(device, target, names)).toEqual([...top, ...bottom]);
    const stored = await bytesOfTexture(device, stencil, { bytesPerTexel: 1 });
    expect([stored[0], stored[7]]).toEqual([5, 0]);
  });

  parity('setBindGroup binds for both stages, with dynamic offsets', async ({ device }) => {
    const code = `
      @group(0) @binding(0) var<uniform> color: vec4f;
      @vertex fn v(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(i & 1u) * 4 - 1, f32(i >> 1u) * 4 - 1, 0, 1);
      }
      @fragment fn f() -> @location(0) vec4f { return color; }`;
    const module = device.createShaderModule({ code });
    const layout = device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: FRAGMENT_STAGE, buffer: { hasDynamicOffset: true } }],
    });
    const pipeline = device.createRenderPipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      vertex: { module },
      fragment: { module, targets: [{ format: 'rgba8unorm' }] },
    });
    const colors = new Float32Array(68);
    colors.set([1, 0, 0, 1], 0);
    colors.set([0, 1, 0, 1], 64);
    const buffer = bufferOf(device, UNIFORM, colors);
    const group = device.createBindGroup({
      layout,
      entries: [{ binding: 0, resource: { buffer, size: 16 } }],
    });
    const target = canvas(device);
    draw(device, target, (encoded) => {
      encoded.setPipeline(pipeline);
      encoded.setScissorRect(0, 0, 4, 8);
      encoded.setBindGroup(0, group, [256]);
      encoded.draw(3);
      encoded.setScissorRect(4, 0, 4, 8);
      encoded.setBindGroup(0, group, Uint32Array.of(7, 0), 1, 1);
      encoded.draw(3);
    });
    expect(await picture(device, target, names)).toEqual(Array.from({ length: 8 }, () => 'ggggrrrr'));
  });

  const wrong: [why: string, act: (encoded: GPURenderPassEncoder) => void][] = [
    ['a scissor outside the target', (encoded) => encoded.setScissorRect(0, 0, 9, 8)],
    ['a viewport larger than the limit', (encoded) => encoded.setViewport(0, 0, 9000, 8, 0, 1)],
    ['a viewport of negative width', (encoded) => encoded.setViewport(0, 0, -1, 8, 0, 1)],
    ['an inverted depth range', (encoded) => encoded.setViewport(0, 0, 8, 8, 1, 0)],
    ['a depth range over 1', (encoded) => encoded.setViewport(0, 0, 8, 8, 0, 2)],
  ];
  for (const [why, act] of wrong) {
    parity(`${why} is an error of finish`, async ({ device, invalid }) => {
      await invalid(() => pass(device, canvas(device), act));
    });
  }

  parity('numbers outside their type throw a TypeError', ({ device }) => {
    pass(device, canvas(device), (encoded) => {
      expect(thrown(() => encoded.setScissorRect(-1, 0, 1, 1))).toBeInstanceOf(TypeError);
      expect(thrown(() => encoded.setStencilReference(2 ** 32))).toBeInstanceOf(TypeError);
      expect(thrown(() => encoded.setBlendConstant('red' as never))).toBeInstanceOf(TypeError);
    });
  });

  parity(
    'a viewport has finite numbers',
    ({ device }) => {
      pass(device, canvas(device), (encoded) => {
        for (const x of [Number.NaN, Number.POSITIVE_INFINITY, 1e39]) {
          expect(
            thrown(() => encoded.setViewport(x, 0, 1, 1, 0, 1)),
            String(x),
          ).toBeInstanceOf(TypeError);
        }
      });
    },
    { deviation: 'numbers need not be finite' },
  );
});
