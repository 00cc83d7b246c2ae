// The same in Node and in pages.
const SHADER = `
struct Corner {
  @builtin(position) position: vec4f,
  @location(0) color: vec3f,
}

@vertex fn corner(@builtin(vertex_index) index: u32) -> Corner {
  let angle = radians(90.0 + 120.0 * f32(index));
  var result: Corner;
  result.position = vec4f(0.8 * cos(angle), 0.8 * sin(angle), 0.0, 1.0);
  result.color = vec3f(f32(index == 0u), f32(index == 1u), f32(index == 2u));
  return result;
}

@fragment fn shade(corner: Corner) -> @location(0) vec4f {
  return vec4f(corner.color, 1.0);
}
`;

/** Draws a triangle of three colors on an empty background. */
export function drawTriangle(device, format, texture) {
  const module = device.createShaderModule({ code: SHADER });
  const pipeline = device.createRenderPipeline({
    layout: 'auto',
    vertex: { module },
    fragment: { module, targets: [{ format }] },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginRenderPass({
    colorAttachments: [
      { view: texture.createView(), loadOp: 'clear', clearValue: [0, 0, 0, 0], storeOp: 'store' },
    ],
  });
  pass.setPipeline(pipeline);
  pass.draw(3);
  pass.end();
  device.queue.submit([encoder.finish()]);
}
