/** The shaders of random programs. Their results do not depend on the order of invocations. */
export const SHADERS = {
  add: `
    @group(0) @binding(0) var<storage, read_write> data: array<atomic<u32>>;
    @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
      atomicAdd(&data[id.x % arrayLength(&data)], id.y + 1u);
    }`,
  fill: `
    override k: u32 = 2;
    @group(0) @binding(0) var<storage, read_write> data: array<u32>;
    @group(0) @binding(1) var<uniform> more: vec4u;
    @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
      data[id.x % arrayLength(&data)] = more.x + k;
    }`,
  load: `
    @group(0) @binding(0) var<storage, read_write> data: array<u32>;
    @group(0) @binding(1) var image: texture_2d<f32>;
    @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
      let texel = textureLoad(image, vec2u(0, 0), 0);
      data[id.x % arrayLength(&data)] = u32(texel.r * 255) % 8 + u32(texel.g * 2);
    }`,
  draw: `
    @vertex fn cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
      let corner = vec2f(f32(index & 1u), f32(index >> 1u)) * 4 - 1;
      return vec4f(corner, 0.5, 1);
    }
    @fragment fn color() -> @location(0) vec4f { return vec4f(0, 1, 0, 1); }`,
  vertices: `
    @vertex fn at(@location(0) at: vec2u) -> @builtin(position) vec4f { return vec4f(vec2f(at) - 1, 0, 1); }
    @fragment fn color() -> @location(0) vec4f { return vec4f(0, 0, 1, 1); }`,
  wrong: '@compute @workgroup_size(1) fn main() { nothing(); }',
  none: '',
} as const;

export const COMPUTE_LAYOUTS: Readonly<Record<string, GPUBindGroupLayoutEntry[]>> = {
  storage: [{ binding: 0, visibility: 4, buffer: { type: 'storage' } }],
  both: [
    { binding: 0, visibility: 4, buffer: { type: 'storage' } },
    { binding: 1, visibility: 4, buffer: {} },
  ],
  dynamic: [{ binding: 0, visibility: 4, buffer: { type: 'storage', hasDynamicOffset: true } }],
  uniform: [{ binding: 0, visibility: 7, buffer: { minBindingSize: 16 } }],
  image: [
    { binding: 0, visibility: 4, buffer: { type: 'storage' } },
    { binding: 1, visibility: 4, texture: {} },
  ],
  sampler: [{ binding: 0, visibility: 6, sampler: {} }],
  empty: [],
  // Invalid: a duplicate binding, and storage that a vertex shader may write.
  twice: [
    { binding: 0, visibility: 4, buffer: {} },
    { binding: 0, visibility: 4, buffer: {} },
  ],
  vertex: [{ binding: 0, visibility: 1, buffer: { type: 'storage' } }],
};
