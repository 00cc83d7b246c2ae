import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLACK,
  BLUE,
  COVER,
  canvas,
  cover,
  draw,
  filled,
  GREEN,
  pass,
  picture,
  RED,
  rectangle,
  shape,
} from './render-support.js';
import { bufferOf, INDEX, INDIRECT, thrown, UNIFORM, VERTEX } from './support.js';

const names = { r: RED, g: GREEN, b: BLUE, k: BLACK };
const attachment = { clearValue: [0, 0, 0, 1] };
const colorFormats: GPUTextureFormat[] = ['rgba8unorm'];

function bundle(device: GPUDevice, act: (encoder: GPURenderBundleEncoder) => void): GPURenderBundle {
  const encoder = device.createRenderBundleEncoder({ colorFormats });
  act(encoder);
  return encoder.finish();
}

const columns = Float32Array.from([0, 2, 4, 6].flatMap((left) => rectangle(left, 0, left + 2, 8)));
const rows = (row: string) => Array.from({ length: 8 }, () => row);

describe('GPUDevice.createRenderBundleEncoder', () => {
  parity('bundles and bundle encoders have labels', async ({ device, globals, valid }) => {
    const encoder = await valid(() => device.createRenderBundleEncoder({ colorFormats, label: 'encoder' }));
    expect(encoder).toBeInstanceOf(globals.GPURenderBundleEncoder);
    expect(encoder.label).toBe('encoder');
    const made = await valid(() => encoder.finish({ label: 'bundle' }));
    expect(made).toBeInstanceOf(globals.GPURenderBundle);
    expect(made.label).toBe('bundle');
  });

  parity('a bundle draws wherever it is executed, in the order of the list', async ({ device }) => {
    const all = bundle(device, (encoder) => {
      encoder.setPipeline(cover(device, 'blue'));
      encoder.draw(3);
    });
    const half = bundle(device, (encoder) => {
      encoder.setPipeline(shape(device, 'green'));
      encoder.setVertexBuffer(0, bufferOf(device, VERTEX, columns));
      encoder.draw(12);
    });
    const [first, second] = [canvas(device), canvas(device)];
    draw(device, first, (encoded) => encoded.executeBundles([all, half]), { attachment });
    draw(device, second, (encoded) => encoded.executeBundles([half, all]), { attachment });
    expect(await picture(device, first, names)).toEqual(rows('ggggbbbb'));
    expect(await picture(device, second, names)).toEqual(filled('b'));
  });

  parity('a bundle draws indexed and indirect', async ({ device }) => {
    const made = bundle(device, (encoder) => {
      encoder.setPipeline(shape(device));
      encoder.setVertexBuffer(0, bufferOf(device, VERTEX, columns));
      encoder.setIndexBuffer(bufferOf(device, INDEX, Uint16Array.of(0, 1, 2, 3, 4, 5)), 'uint16');
      encoder.drawIndexed(6);
      encoder.drawIndirect(bufferOf(device, INDIRECT, Uint32Array.of(6, 1, 12, 0)), 0);
      encoder.drawIndexedIndirect(bufferOf(device, INDIRECT, Uint32Array.of(6, 1, 0, 18, 0)), 0);
    });
    const target = canvas(device);
    draw(device, target, (encoded) => encoded.executeBundles([made]), { attachment });
    expect(await picture(device, target, names)).toEqual(rows('rrkkrrrr'));
  });

  parity('a bundle binds groups and sets immediates', async ({ device }) => {
    const code = `${COVER}
      var<immediate> part: f32;
      @group(0) @binding(0) var<uniform> paint: vec4f;
      @fragment fn painted() -> @location(0) vec4f { return paint * part; }`;
    const module = device.createShaderModule({ code });
    const layout = device.createBindGroupLayout({ entries: [{ binding: 0, visibility: 0x2, buffer: {} }] });
    const pipeline = device.createRenderPipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout], immediateSize: 4 }),
      vertex: { module },
      fragment: { module, entryPoint: 'painted', targets: [{ format: 'rgba8unorm' }] },
    });
    const buffer = bufferOf(device, UNIFORM, Float32Array.of(0, 2, 0, 2));
    const group = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] });
    const made = bundle(device, (encoder) => {
      encoder.setPipeline(pipeline);
      encoder.setBindGroup(0, group);
      encoder.setImmediates(0, Float32Array.of(0.5));
      encoder.draw(3);
    });
    const target = canvas(device);
    draw(device, target, (encoded) => encoded.executeBundles([made]));
    expect(await picture(device, target, names)).toEqual(filled('g'));
  });

  parity('executing a bundle leaves the pass without a pipeline', async ({ device, invalid }) => {
    const made = bundle(device, (encoder) => {
      encoder.setPipeline(cover(device));
      encoder.draw(3);
    });
    await invalid(() =>
      pass(device, canvas(device), (encoded) => {
        encoded.setPipeline(cover(device));
        encoded.executeBundles([made]);
        encoded.draw(3);
      }),
    );
  });

  parity('executing no bundles is valid', async ({ device, valid }) => {
    await valid(() => pass(device, canvas(device), (encoded) => encoded.executeBundles([])));
  });

  parity('a bundle for other targets is an error of finish', async ({ device, invalid }) => {
    const other = device.createRenderBundleEncoder({ colorFormats: ['bgra8unorm'] }).finish();
    await invalid(() => pass(device, canvas(device), (encoded) => encoded.executeBundles([other])));
  });

  parity('a mistake in a bundle is an error of its own finish', async ({ device, invalid }) => {
    await invalid(() => bundle(device, (encoder) => encoder.draw(3)));
    await invalid(() => bundle(device, (encoder) => encoder.popDebugGroup()));
    await invalid(() => bundle(device, (encoder) => encoder.pushDebugGroup('open')));
    await invalid(() => {
      const encoder = device.createRenderBundleEncoder({ colorFormats });
      encoder.finish();
      encoder.finish();
    });
  });

  parity('an invalid bundle makes the pass invalid', async ({ device, scoped, invalid }) => {
    let broken: GPURenderBundle | undefined;
    await scoped('validation', () => {
      broken = bundle(device, (encoder) => encoder.draw(3));
    });
    await invalid(() =>
      pass(device, canvas(device), (encoded) => encoded.executeBundles([broken as GPURenderBundle])),
    );
  });

  const wrong: [why: string, descriptor: GPURenderBundleEncoderDescriptor][] = [
    ['no format', { colorFormats: [] }],
    ['more formats than the limit', { colorFormats: Array.from({ length: 9 }, () => 'r8unorm' as const) }],
    ['a depth format as a color', { colorFormats: ['depth24plus'] }],
    ['a color format as depth', { colorFormats: [], depthStencilFormat: 'rgba8unorm' }],
    ['a sample count that does not exist', { colorFormats, sampleCount: 2 }],
  ];
  for (const [why, descriptor] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      await invalid(() => device.createRenderBundleEncoder(descriptor));
    });
  }

  parity('a format in the middle may be absent', async ({ device, valid }) => {
    await valid(() => device.createRenderBundleEncoder({ colorFormats: [null, 'rgba8unorm'] }).finish());
    await valid(() =>
      device.createRenderBundleEncoder({
        colorFormats: [],
        depthStencilFormat: 'depth24plus',
        depthReadOnly: true,
      }),
    );
  });

  parity('a format without its feature throws a TypeError', async ({ device, valid }) => {
    await valid(() => {
      for (const descriptor of [
        { colorFormats: ['astc-4x4-unorm'] },
        { colorFormats: [], depthStencilFormat: 'depth32float-stencil8' },
      ]) {
        const make = () => device.createRenderBundleEncoder(descriptor as never);
        expect(thrown(make)).toBeInstanceOf(TypeError);
      }
    });
  });

  parity('an object of another class throws a TypeError', ({ device }) => {
    expect(thrown(() => device.createRenderBundleEncoder({} as never))).toBeInstanceOf(TypeError);
    pass(device, canvas(device), (encoded) => {
      expect(thrown(() => encoded.executeBundles([{}] as never))).toBeInstanceOf(TypeError);
      expect(thrown(() => encoded.executeBundles(undefined as never))).toBeInstanceOf(TypeError);
    });
  });
});
