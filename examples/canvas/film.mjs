// Draws a turning triangle frame by frame, as a page would, and writes each frame as a PNG. It runs on any
// GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node film.mjs [--out FOLDER] [--frames N]
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { canvasContext, requestAnimationFrame } from 'farlight/canvas';

const { values: flags } = parseArgs({
  options: { out: { type: 'string', default: 'film' }, frames: { type: 'string', default: '12' } },
});
const frames = Number(flags.frames);
const CODE = /* wgsl */ `
  struct Corner { @builtin(position) position: vec4f, @location(0) color: vec3f }
  @group(0) @binding(0) var<uniform> angle: f32;

  @vertex fn corner(@builtin(vertex_index) index: u32) -> Corner {
    let around = angle + f32(index) * radians(120.0);
    let colors = array(vec3f(1, 0, 0), vec3f(0, 1, 0), vec3f(0, 0, 1));
    return Corner(vec4f(0.8 * sin(around), 0.8 * cos(around), 0, 1), colors[index]);
  }

  @fragment fn pixel(corner: Corner) -> @location(0) vec4f { return vec4f(corner.color, 1); }
`;

const adapter = await navigator.gpu.requestAdapter();
const device = await adapter.requestDevice();
const context = canvasContext({ width: 320, height: 320 });
const format = navigator.gpu.getPreferredCanvasFormat();
context.configure({ device, format });

const module = device.createShaderModule({ code: CODE });
const pipeline = device.createRenderPipeline({
  layout: 'auto',
  vertex: { module },
  fragment: { module, targets: [{ format }] },
});
const angle = device.createBuffer({ size: 4, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
const group = device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: angle } }],
});

const film = context.canvas.frames();
requestAnimationFrame(() => draw(0));
mkdirSync(flags.out, { recursive: true });
// While a frame is written, the program draws at most three more, and then waits.
for await (const frame of film) {
  const name = `${String(frame.number).padStart(3, '0')}.png`;
  writeFileSync(join(flags.out, name), await frame.toPNG());
  if (frame.number === frames) break;
}
console.log(`Wrote ${frames} frames to ${flags.out}`);
device.destroy();

function draw(frame) {
  device.queue.writeBuffer(angle, 0, Float32Array.of((2 * Math.PI * frame) / (3 * frames)));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginRenderPass({
    colorAttachments: [
      {
        view: context.getCurrentTexture().createView(),
        loadOp: 'clear',
        clearValue: [0.1, 0.1, 0.1, 1],
        storeOp: 'store',
      },
    ],
  });
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.draw(3);
  pass.end();
  device.queue.submit([encoder.finish()]);
  if (frame + 1 < frames) requestAnimationFrame(() => draw(frame + 1));
}
