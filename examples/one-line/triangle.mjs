// A program for npm `webgpu`: draws a triangle and writes it as a picture. With `from 'farlight'` in its
// first line it draws on the GPU of the host that FARLIGHT_HOST names.
//
//   node triangle.mjs [--out FILE.png]

import { parseArgs } from 'node:util';
import { create, globals } from 'webgpu';
import { writePng } from '../support/image.mjs';

Object.assign(globalThis, globals);
const { values: flags } = parseArgs({ options: { out: { type: 'string', default: 'triangle.png' } } });
const SIZE = 256;
const CODE = /* wgsl */ `
  struct Corner { @builtin(position) position: vec4f, @location(0) color: vec3f }

  @vertex fn corner(@builtin(vertex_index) index: u32) -> Corner {
    let corners = array(vec2f(0, 0.8), vec2f(-0.8, -0.8), vec2f(0.8, -0.8));
    let colors = array(vec3f(1, 0, 0), vec3f(0, 1, 0), vec3f(0, 0, 1));
    return Corner(vec4f(corners[index], 0, 1), colors[index]);
  }

  @fragment fn pixel(corner: Corner) -> @location(0) vec4f { return vec4f(corner.color, 1); }
`;

let gpu = create(['enable-dawn-features=disable_symbol_renaming']);
const adapter = await gpu.requestAdapter();
if (!adapter) throw new Error('this program needs a GPU');
const device = await adapter.requestDevice();

const format = 'rgba8unorm';
const texture = device.createTexture({
  size: [SIZE, SIZE],
  format,
  usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC,
});
const module = device.createShaderModule({ code: CODE });
const pipeline = device.createRenderPipeline({
  layout: 'auto',
  vertex: { module },
  fragment: { module, targets: [{ format }] },
});

const encoder = device.createCommandEncoder();
const clearValue = [0.1, 0.1, 0.1, 1];
const pass = encoder.beginRenderPass({
  colorAttachments: [{ view: texture.createView(), loadOp: 'clear', storeOp: 'store', clearValue }],
});
pass.setPipeline(pipeline);
pass.draw(3);
pass.end();
const bytesPerRow = SIZE * 4;
const result = device.createBuffer({
  size: bytesPerRow * SIZE,
  usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
});
encoder.copyTextureToBuffer({ texture }, { buffer: result, bytesPerRow }, [SIZE, SIZE]);
device.queue.submit([encoder.finish()]);

await result.mapAsync(GPUMapMode.READ);
writePng(flags.out, { width: SIZE, height: SIZE, data: new Uint8Array(result.getMappedRange()) });
result.unmap();
console.log(`Wrote ${flags.out}`);

// Dawn keeps a process alive as long as the process has a Dawn object.
device.destroy();
gpu = undefined;
