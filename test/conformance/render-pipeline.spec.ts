import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLACK,
  BLUE,
  COVER,
  canvas,
  cover,
  draw,
  FRAGMENT_STAGE,
  filled,
  GREEN,
  picture,
  pipelineDescriptor,
  RED,
  rectangle,
  shape,
  VERTEX_STAGE,
} from './render-support.js';
import { bufferOf, UNIFORM, VERTEX } from './support.js';

const names = { r: RED, g: GREEN, b: BLUE, k: BLACK };
const attachment = { clearValue: [0, 0, 0, 1] };

describe('GPUDevice.createRenderPipeline', () => {
  parity('a render pipeline has its label', async ({ device, globals, valid }) => {
    const pipeline = await valid(() => cover(device, 'red', { label: 'seen' }));
    expect(pipeline).toBeInstanceOf(globals.GPURenderPipeline);
    expect(pipeline.label).toBe('seen');
  });

  parity('a render pipeline runs both shaders with their constants', async ({ device }) => {
    const target = canvas(device);
    draw(device, target, (pass) => {
      pass.setPipeline(cover(device, 'blue'));
      pass.draw(3);
    });
    expect(await picture(device, target, names)).toEqual(filled('b'));
  });

  parity(
    'a render pipeline reads vertex buffers by their layouts, per vertex and per instance',
    async ({ device }) => {
      const code = `
      struct Out { @builtin(position) at: vec4f, @location(0) color: vec3f }
      @vertex fn v(@location(3) at: vec2f, @location(1) color: vec4f, @location(0) shift: f32) -> Out {
        return Out(vec4f(at.x + shift, at.y, 0, 1), color.rgb);
      }
      @fragment fn f(in: Out) -> @location(0) vec4f { return vec4f(in.color, 1); }`;
      const module = device.createShaderModule({ code });
      const pipeline = device.createRenderPipeline({
        layout: 'auto',
        vertex: {
          module,
          buffers: [
            { arrayStride: 8, attributes: [{ format: 'float32x2', offset: 0, shaderLocation: 3 }] },
            null as never,
            {
              arrayStride: 8,
              stepMode: 'instance',
              attributes: [
                { format: 'unorm8x4', offset: 4, shaderLocation: 1 },
                { format: 'float32', offset: 0, shaderLocation: 0 },
              ],
            },
          ],
        },
        fragment: { module, targets: [{ format: 'rgba8unorm' }] },
      });
      const instances = new ArrayBuffer(16);
      new Float32Array(instances)[0] = 0;
      new Uint8Array(instances).set(RED, 4);
      new Float32Array(instances)[2] = 1;
      new Uint8Array(instances).set(GREEN, 12);
      const target = canvas(device);
      draw(
        device,
        target,
        (pass) => {
          pass.setPipeline(pipeline);
          pass.setVertexBuffer(0, bufferOf(device, VERTEX, Float32Array.from(rectangle(0, 0, 4, 4))));
          pass.setVertexBuffer(2, bufferOf(device, VERTEX, new Uint8Array(instances)));
          pass.draw(6, 2);
        },
        { attachment },
      );
      const top = Array.from({ length: 4 }, () => 'rrrrgggg');
      expect(await picture(device, target, names)).toEqual([...top, ...filled('k', 8, 4)]);
    },
  );

  parity('a render pipeline culls the given faces', async ({ device }) => {
    const cases: [GPUCullMode, GPUFrontFace, string][] = [
      ['none', 'ccw', 'r'],
      ['back', 'ccw', 'r'],
      ['front', 'ccw', 'k'],
      ['back', 'cw', 'k'],
    ];
    for (const [cullMode, frontFace, letter] of cases) {
      const target = canvas(device);
      draw(
        device,
        target,
        (pass) => {
          pass.setPipeline(cover(device, 'red', { primitive: { cullMode, frontFace } }));
          pass.draw(3);
        },
        { attachment },
      );
      expect(await picture(device, target, names), `${cullMode} ${frontFace}`).toEqual(filled(letter));
    }
  });

  parity('a render pipeline draws points, lines and strips', async ({ device, observe }) => {
    const vertices = bufferOf(
      device,
      VERTEX,
      Float32Array.of(-0.875, 0.875, 0.9, 0.875, 0.875, -0.9, -0.9, -0.9),
    );
    for (const topology of ['point-list', 'line-list', 'line-strip', 'triangle-strip'] as const) {
      const target = canvas(device);
      draw(
        device,
        target,
        (pass) => {
          pass.setPipeline(shape(device, 'red', { primitive: { topology } }));
          pass.setVertexBuffer(0, vertices);
          pass.draw(4);
        },
        { attachment },
      );
      const found = await picture(device, target, names);
      expect(found.join('')).toMatch(/^[rk]*r[rk]*$/);
      observe(topology, found);
    }
  });

  parity('a render pipeline writes only the components of its mask', async ({ device }) => {
    const target = canvas(device, { size: [1, 1] });
    draw(
      device,
      target,
      (pass) => {
        pass.setPipeline(cover(device, 'white', { target: { writeMask: 0x2 } }));
        pass.draw(3);
      },
      { attachment },
    );
    expect(await picture(device, target, names)).toEqual(['g']);
  });

  parity(
    'getBindGroupLayout returns the layouts of an auto layout',
    async ({ device, globals, valid, invalid }) => {
      const code = `
      @group(1) @binding(2) var<uniform> color: vec4f;
      @vertex fn v(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(i & 1u) * 4 - 1, f32(i >> 1u) * 4 - 1, 0, 1);
      }
      @fragment fn f() -> @location(0) vec4f { return color; }`;
      const module = device.createShaderModule({ code });
      const pipeline = device.createRenderPipeline({
        layout: 'auto',
        vertex: { module },
        fragment: { module, targets: [{ format: 'rgba8unorm' }] },
      });
      const layout = await valid(() => pipeline.getBindGroupLayout(1));
      expect(layout).toBeInstanceOf(globals.GPUBindGroupLayout);
      expect(layout).not.toBe(pipeline.getBindGroupLayout(1));
      await invalid(() => pipeline.getBindGroupLayout(4));
      const buffer = bufferOf(device, UNIFORM, Float32Array.of(0, 1, 0, 1));
      const group = device.createBindGroup({ layout, entries: [{ binding: 2, resource: { buffer } }] });
      const target = canvas(device);
      draw(device, target, (pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(1, group);
        pass.draw(3);
      });
      expect(await picture(device, target, names)).toEqual(filled('g'));
    },
  );

  parity('an explicit layout must fit the shaders', async ({ device, valid, invalid }) => {
    const code = `${COVER}
      @group(0) @binding(0) var<uniform> paint: vec4f;
      @fragment fn bound() -> @location(0) vec4f { return paint; }`;
    const module = device.createShaderModule({ code });
    const make = (visibility: number) => {
      const group = device.createBindGroupLayout({ entries: [{ binding: 0, visibility, buffer: {} }] });
      const layout = device.createPipelineLayout({ bindGroupLayouts: [group] });
      const fragment = { module, entryPoint: 'bound', targets: [{ format: 'rgba8unorm' as const }] };
      return device.createRenderPipeline(
        pipelineDescriptor(device, { layout, fragment, vertex: { module } }),
      );
    };
    await valid(() => make(FRAGMENT_STAGE));
    await invalid(() => make(VERTEX_STAGE));
  });
});
