import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { canvas, pass, RENDER_ATTACHMENT } from './render-support.js';
import { thrown } from './support.js';

const attachment = (more: object) => ({ attachment: more as Partial<GPURenderPassColorAttachment> });

describe('GPUCommandEncoder.beginRenderPass', () => {
  const wrong: [why: string, make: (device: GPUDevice) => Partial<GPURenderPassDescriptor>][] = [
    ['no attachment', () => ({ colorAttachments: [] })],
    [
      'attachments of different sizes',
      (device) => ({
        colorAttachments: [canvas(device), canvas(device, { size: [4, 4] })].map((view) => ({
          view,
          loadOp: 'clear',
          storeOp: 'store',
        })),
      }),
    ],
    [
      'a depth format as a color',
      (device) => ({
        colorAttachments: [
          { view: canvas(device, { format: 'depth24plus' }), loadOp: 'clear', storeOp: 'store' },
        ],
      }),
    ],
    [
      'a color format as depth',
      (device) => ({
        depthStencilAttachment: { view: canvas(device), depthLoadOp: 'load', depthStoreOp: 'store' },
      }),
    ],
    [
      'depth without its operations',
      (device) => ({ depthStencilAttachment: { view: canvas(device, { format: 'depth24plus' }) } }),
    ],
    [
      'depth without a clear value',
      (device) => ({
        depthStencilAttachment: {
          view: canvas(device, { format: 'depth24plus' }),
          depthLoadOp: 'clear',
          depthStoreOp: 'store',
        },
      }),
    ],
  ];
  for (const [why, make] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      await invalid(() => pass(device, canvas(device), () => {}, make(device)));
    });
  }

  const wrongColors: [why: string, make: (device: GPUDevice) => object][] = [
    [
      'a view without RENDER_ATTACHMENT',
      (device) => ({ view: canvas(device, { usage: 0x4, label: 'plain' }) }),
    ],
    ['a view of several layers', (device) => ({ view: canvas(device, { size: [8, 8, 2] }) })],
    ['a view of several levels', (device) => ({ view: canvas(device, { mipLevelCount: 2 }) })],
    ['resolving from one sample', (device) => ({ resolveTarget: canvas(device) })],
    [
      'resolving into another format',
      (device) => ({
        view: canvas(device, { sampleCount: 4, usage: RENDER_ATTACHMENT }),
        resolveTarget: canvas(device, { format: 'bgra8unorm' }),
      }),
    ],
    ['a slice of a texture that is not 3d', () => ({ depthSlice: 0 })],
    [
      'a 3d texture without a slice',
      (device) => ({ view: canvas(device, { size: [8, 8, 2], dimension: '3d' }) }),
    ],
  ];
  for (const [why, make] of wrongColors) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      await invalid(() => pass(device, canvas(device), () => {}, attachment(make(device))));
    });
  }

  parity('missing members and unknown values throw a TypeError', ({ device }) => {
    const view = canvas(device);
    const encoder = device.createCommandEncoder();
    for (const descriptor of [
      {},
      { colorAttachments: [{ view, loadOp: 'clear' }] },
      { colorAttachments: [{ view, storeOp: 'store' }] },
      { colorAttachments: [{ loadOp: 'clear', storeOp: 'store' }] },
      { colorAttachments: [{ view: {}, loadOp: 'clear', storeOp: 'store' }] },
      { colorAttachments: [{ view, loadOp: 'keep', storeOp: 'store' }] },
      { colorAttachments: [], depthStencilAttachment: {} },
      { colorAttachments: [], depthStencilAttachment: { view, depthClearValue: Number.NaN } },
    ]) {
      expect(thrown(() => encoder.beginRenderPass(descriptor as never))).toBeInstanceOf(TypeError);
    }
  });

  parity('the encoder cannot be used while its pass is open', async ({ device, invalid }) => {
    const encoder = device.createCommandEncoder();
    encoder.beginRenderPass({
      colorAttachments: [{ view: canvas(device), loadOp: 'clear', storeOp: 'store' }],
    });
    await invalid(() => encoder.finish());
  });

  parity('a pass cannot be used after its end', async ({ device, invalid }) => {
    await invalid(() => {
      const encoder = device.createCommandEncoder();
      const encoded = encoder.beginRenderPass({
        colorAttachments: [{ view: canvas(device), loadOp: 'clear', storeOp: 'store' }],
      });
      encoded.end();
      encoded.end();
      return encoder.finish();
    });
  });

  parity("another device's view is a validation error", async ({ device, newDevice, invalid }) => {
    const foreign = canvas(await newDevice(), { label: 'foreign' });
    await invalid(() => pass(device, foreign));
    await invalid(() => pass(device, foreign.createView()));
  });

  parity('debug groups of a pass nest, and must be closed', async ({ device, valid, invalid }) => {
    await valid(() =>
      pass(device, canvas(device), (encoded) => {
        encoded.pushDebugGroup('outer');
        encoded.insertDebugMarker('here');
        encoded.popDebugGroup();
      }),
    );
    await invalid(() => pass(device, canvas(device), (encoded) => encoded.pushDebugGroup('open')));
    await invalid(() => pass(device, canvas(device), (encoded) => encoded.popDebugGroup()));
  });
});
