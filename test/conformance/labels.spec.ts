import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { COVER } from './render-support.js';
import { COPY_DST, STORAGE } from './support.js';

/** One object of each kind with a label. */
function labelled(device: GPUDevice, descriptor: { label?: string }): Record<string, GPUObjectBase> {
  const code = '@compute @workgroup_size(1) fn main() {}';
  const module = device.createShaderModule({ code, ...descriptor });
  const bindGroupLayout = device.createBindGroupLayout({ entries: [], ...descriptor });
  const encoder = device.createCommandEncoder(descriptor);
  const pass = encoder.beginComputePass(descriptor);
  pass.end();
  const texture = device.createTexture({ size: [1], format: 'rgba8unorm', usage: 0x10, ...descriptor });
  const view = texture.createView(descriptor);
  const renderPass = encoder.beginRenderPass({
    colorAttachments: [{ view, loadOp: 'clear', storeOp: 'store' }],
    ...descriptor,
  });
  renderPass.end();
  const bundleEncoder = device.createRenderBundleEncoder({ colorFormats: ['rgba8unorm'], ...descriptor });
  const drawing = device.createShaderModule({ code: COVER });
  const renderPipeline = device.createRenderPipeline({
    layout: 'auto',
    vertex: { module: drawing },
    fragment: { module: drawing, targets: [{ format: 'rgba8unorm' }] },
    ...descriptor,
  });
  return {
    texture,
    view,
    sampler: device.createSampler(descriptor),
    renderPass,
    bundleEncoder,
    bundle: bundleEncoder.finish(descriptor),
    renderPipeline,
    buffer: device.createBuffer({ size: 4, usage: STORAGE, ...descriptor }),
    module,
    bindGroupLayout,
    pipelineLayout: device.createPipelineLayout({ bindGroupLayouts: [], ...descriptor }),
    bindGroup: device.createBindGroup({ layout: bindGroupLayout, entries: [], ...descriptor }),
    pipeline: device.createComputePipeline({ layout: 'auto', compute: { module }, ...descriptor }),
    querySet: device.createQuerySet({ type: 'occlusion', count: 1, ...descriptor }),
    encoder,
    pass,
    commands: encoder.finish(descriptor),
  };
}

describe('labels', () => {
  parity('labels come from the descriptor', ({ device }) => {
    for (const [kind, object] of Object.entries(labelled(device, { label: 'named' }))) {
      expect(object.label, kind).toBe('named');
    }
  });

  parity('a missing label is empty', async ({ device, newDevice }) => {
    for (const [kind, object] of Object.entries(labelled(device, {}))) {
      expect(object.label, kind).toBe('');
    }
    expect(device.queue.label).toBe('');
    expect((await newDevice()).label).toBe('');
  });

  parity('an undefined label counts as missing', ({ device }) => {
    expect(device.createBuffer({ size: 4, usage: STORAGE, label: undefined as never }).label).toBe('');
  });

  parity('labels can be set at any time, on every object', ({ device }) => {
    const objects = { ...labelled(device, { label: 'before' }), device, queue: device.queue };
    for (const [kind, object] of Object.entries(objects)) {
      object.label = `${kind} after`;
      expect(object.label, kind).toBe(`${kind} after`);
    }
  });

  parity('labels are converted to strings', ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: null as never });
    expect(buffer.label).toBe('null');
    buffer.label = 5 as never;
    expect(buffer.label).toBe('5');
    buffer.label = undefined as never;
    expect(buffer.label).toBe('undefined');
  });

  parity('labels are USVStrings: a lone surrogate becomes U+FFFD', ({ device }) => {
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: 'a\ud800b' });
    expect(buffer.label).toBe('a\ufffdb');
    buffer.label = '\udc00 \u{1f600}';
    expect(buffer.label).toBe('\ufffd \u{1f600}');
  });

  parity('labels hold any text, including NUL', ({ device }) => {
    for (const label of ['', '\u{1f600}', 'x'.repeat(5000), 'a\0b', 'line\nline', '"quoted"']) {
      expect(device.createBuffer({ size: 4, usage: STORAGE, label }).label).toBe(label);
    }
  });

  parity('labels name objects in error messages', async ({ device, invalid }) => {
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: 'mine' });
    const error = await invalid(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(4)));
    expect(error.message).toContain('mine');
  });

  parity('labels that were set later name objects in error messages', async ({ device, invalid }) => {
    const buffer = device.createBuffer({ size: 4, usage: STORAGE, label: 'old name' });
    buffer.label = 'new name';
    const error = await invalid(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(4)));
    expect(error.message).toContain('new name');
    expect(error.message).not.toContain('old name');
  });

  parity('labels with any text are the same in error messages', async ({ device, invalid }) => {
    for (const label of ['\u{1f600} \u00e9', 'a\0b', '"quoted" \\', 'line\nline', 'x'.repeat(3000)]) {
      const buffer = device.createBuffer({ size: 4, usage: STORAGE, label });
      await invalid(() => device.queue.writeBuffer(buffer, 0, new Uint8Array(4)));
    }
  });

  parity('labels of a device and an encoder are in error messages, too', async ({ newDevice, invalid }) => {
    const device = await newDevice({ label: 'the device' });
    await invalid(() => device.createBuffer({ size: 4, usage: 0 }), device);
    const encoder = device.createCommandEncoder({ label: 'the encoder' });
    encoder.clearBuffer(device.createBuffer({ size: 4, usage: STORAGE, label: 'the buffer' }));
    const error = await invalid(() => encoder.finish({ label: 'the commands' }), device);
    expect(error.message).toContain('the encoder');
    expect(error.message).toContain('the buffer');
  });

  parity('several objects may have the same label', async ({ device, valid }) => {
    await valid(() => {
      const [a, b] = [1, 2].map(() => device.createBuffer({ size: 4, usage: COPY_DST, label: 'same' }));
      expect(a).not.toBe(b);
    });
  });
});
