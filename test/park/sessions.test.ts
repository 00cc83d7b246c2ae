import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { GPUBufferUsage, GPUMapMode, GPUTextureUsage } from '#farlight/proto/gen/webgpu.js';
import { Daemon } from '#farlight/server/daemon.js';
import { collector } from '#farlight/server/executor/limits/garbage.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { parkingHosts, readWords } from '../support/hosts/parking-host.js';
import { until } from '../support/machine/processes.js';

const { temporary, opened, start } = parkingHosts();

const { COPY_SRC, COPY_DST, MAP_READ, STORAGE, VERTEX } = GPUBufferUsage;

const TRIPLE = `
  @group(0) @binding(0) var<storage, read_write> data: array<u32>;
  @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { data[id.x] = data[id.x] * 3 + 1; }
`;

describe('a parked session', () => {
  it.each(['127.0.0.1:0', 'grpcs://127.0.0.1:0'])(
    'has no executor, and goes on with the same bits at the next command (%s)',
    async (listen) => {
      const trustFolder = temporary.make();
      const { log, of } = memoryLog();
      const root = join(temporary.make(), 'parked');
      const daemon = await Daemon.start({
        listen,
        trustFolder,
        adapter: 'software',
        spares: 0,
        warm: 0,
        log,
        parking: { root, idleMs: 300 },
      });
      opened.push(daemon);
      const token = daemon.tokens?.add({ tenant: 'one' }).token;
      const gpu = create({ host: token ? daemon.url.replace('://', `://${token}@`) : daemon.url });
      opened.push({ close: () => close(gpu) });
      const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
      const data = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC | COPY_DST });
      device.queue.writeBuffer(data, 0, new Uint32Array([1, 2, 3, 4]));
      const module = device.createShaderModule({ code: TRIPLE });
      const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
      const entries = [{ binding: 0, resource: { buffer: data } }];
      const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
      let expected = [1, 2, 3, 4];
      for (let round = 1; round <= 3; round += 1) {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(1);
        pass.end();
        device.queue.submit([encoder.finish()]);
        expected = expected.map((value) => value * 3 + 1);
        expect(await readWords(device, data)).toEqual(expected);
        await until(() => of('session parked').length >= round && daemon.describe().sessions === 0);
      }
    },
    60_000,
  );

  it('keeps buffers of each usage, textures, labels and destroyed resources', async () => {
    const { device, park, errors } = await start();
    const words = new Uint32Array([7, 8, 9, 10]);
    const vertices = device.createBuffer({ size: 16, usage: VERTEX, mappedAtCreation: true });
    new Uint32Array(vertices.getMappedRange()).set(words);
    vertices.unmap();
    const readback = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
    device.queue.writeBuffer(readback, 0, words);
    const odd = device.createBuffer({ size: 10, usage: COPY_SRC | COPY_DST, label: 'odd' });
    device.queue.writeBuffer(odd, 0, words, 0, 2);
    const gone = device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
    gone.destroy();
    const texture = device.createTexture({
      size: [5, 3],
      format: 'rgba8unorm',
      mipLevelCount: 2,
      usage: GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST,
    });
    const texels = Uint8Array.from({ length: 60 }, (_, at) => at * 3);
    device.queue.writeTexture({ texture }, texels, { bytesPerRow: 20 }, [5, 3]);
    await device.queue.onSubmittedWorkDone();
    await park();
    await readback.mapAsync(GPUMapMode.READ);
    expect([...new Uint32Array(readback.getMappedRange())]).toEqual([...words]);
    readback.unmap();
    const copy = device.createBuffer({ size: 256 * 3, usage: MAP_READ | COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(odd, 0, copy, 256, 8);
    encoder.copyTextureToBuffer({ texture }, { buffer: copy, bytesPerRow: 256 }, [5, 3]);
    device.queue.submit([encoder.finish()]);
    await copy.mapAsync(GPUMapMode.READ);
    const bytes = new Uint8Array(copy.getMappedRange());
    for (let row = 0; row < 3; row += 1)
      expect([...bytes.subarray(row * 256, row * 256 + 20)]).toEqual([
        ...texels.subarray(row * 20, row * 20 + 20),
      ]);
    expect(errors).toEqual([]);
    device.pushErrorScope('validation');
    const bad = device.createCommandEncoder();
    bad.copyBufferToBuffer(gone, 0, odd, 0, 8);
    device.queue.submit([bad.finish()]);
    expect((await device.popErrorScope())?.message).toMatch(/destroyed/);
  });

  it('keeps buffers invalid, and valid, that an error scope of the program has hidden', async () => {
    const { device, park, errors } = await start({ adapter: 'null' });
    device.pushErrorScope('validation');
    device.pushErrorScope('validation');
    const invalid = device.createBuffer({ size: 4, usage: MAP_READ | COPY_SRC, label: 'its usage' });
    const tooLong = device.createBuffer({ size: 2 ** 50, usage: MAP_READ, label: 'its size' });
    expect((await device.popErrorScope())?.message).toMatch(/usage/);
    const valid = device.createBuffer({ size: 4, usage: MAP_READ, mappedAtCreation: true });
    new Uint32Array(valid.getMappedRange()).set([77]);
    valid.unmap();
    await device.queue.onSubmittedWorkDone();
    await park();
    await valid.mapAsync(GPUMapMode.READ);
    expect([...new Uint32Array(valid.getMappedRange())]).toEqual([77]);
    expect(await device.popErrorScope()).toBeNull();
    for (const buffer of [invalid, tooLong]) {
      device.pushErrorScope('validation');
      const refused = buffer.mapAsync(GPUMapMode.READ).catch(({ name }) => name);
      expect((await device.popErrorScope())?.message).toContain(`[Invalid Buffer "${buffer.label}"]`);
      expect(await refused).toBe('OperationError');
    }
    expect(errors).toEqual([]);
  });

  it('keeps a buffer invalid for which there was no memory, where a scope for such errors alone is open', async () => {
    const { device, park, errors } = await start({ adapter: 'null' });
    // Dawn's null device has 512 MiB.
    const [first, second, third] = Array.from({ length: 3 }, (_, at) => {
      device.pushErrorScope('out-of-memory');
      return device.createBuffer({ size: 250 << 20, usage: COPY_SRC | COPY_DST, label: `number ${at}` });
    }) as [GPUBuffer, GPUBuffer, GPUBuffer];
    expect((await device.popErrorScope())?.message).toContain('"number 2"');
    first.destroy();
    second.destroy();
    await park();
    device.pushErrorScope('validation');
    device.queue.writeBuffer(third, 0, new Uint32Array(4));
    expect((await device.popErrorScope())?.message).toContain('[Invalid Buffer "number 2"]');
    expect(await device.popErrorScope()).toBeNull();
    expect(errors).toEqual([]);
  });

  it('keeps a buffer invalid whose create has waited for memory', async () => {
    const { device, park, errors } = await start({ adapter: 'null', tenantLimits: { gpuMemory: 300 << 20 } });
    const usage = MAP_READ | STORAGE;
    const invalid = device.createBuffer({ size: 200 << 20, usage, label: 'its usage' });
    await device.queue.onSubmittedWorkDone();
    await park();
    device.pushErrorScope('validation');
    device.queue.writeBuffer(invalid, 0, new Uint32Array(4));
    expect((await device.popErrorScope())?.message).toContain('[Invalid Buffer "its usage"]');
    expect(errors).toEqual([expect.stringContaining('usages')]);
  });

  it('adds no error where its program writes to an invalid buffer that was mapped at its creation', async () => {
    const { device, park, errors } = await start({ adapter: 'null' });
    const usage = MAP_READ | STORAGE;
    const [short, long] = [4, 5 << 20].map((size) =>
      device.createBuffer({ size, usage, mappedAtCreation: true }),
    ) as [GPUBuffer, GPUBuffer];
    await device.queue.onSubmittedWorkDone();
    await park();
    for (const buffer of [short, long]) {
      new Uint32Array(buffer.getMappedRange()).set([1]);
      buffer.unmap();
    }
    await device.queue.onSubmittedWorkDone();
    expect(errors).toEqual([expect.stringContaining('usages'), expect.stringContaining('usages')]);
  });

  it('comes back where its program has only views of textures, whose memory does not count any more', async () => {
    const { device, daemon, park, count } = await start({ adapter: 'null' });
    const size = 8192;
    const { RENDER_ATTACHMENT, TRANSIENT_ATTACHMENT } = GPUTextureUsage;
    const usage = RENDER_ATTACHMENT | TRANSIENT_ATTACHMENT;
    const most = Math.floor((0.6 * daemon.describe().gpuCapacity) / (4 * size * size));
    const make = () =>
      Array.from({ length: most }, () =>
        device.createTexture({ size: [size, size], format: 'rgba8unorm', usage }),
      );
    const views = make().map((texture) => texture.createView());
    const collectHere = collector();
    let textures: GPUTexture[] = [];
    for (;;) {
      device.pushErrorScope('out-of-memory');
      textures = make();
      if (!(await device.popErrorScope())) break;
      // The host counts the first textures until the collector has found that the program has dropped them.
      collectHere();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await park();
    await device.queue.onSubmittedWorkDone();
    await until(() => count('session back') + count('session ended') > 0);
    expect(count('session back')).toBe(1);
    expect(views).toHaveLength(textures.length);
  });

  it('comes back where its buffers take most of the memory, and no command may write to them', async () => {
    const { device, park, errors } = await start({ adapter: 'null' });
    // Dawn's null device has 512 MiB.
    const [buffer] = Array.from({ length: 2 }, () =>
      device.createBuffer({ size: 180 << 20, usage: STORAGE, label: 'a large one' }),
    ) as [GPUBuffer, GPUBuffer];
    await device.queue.onSubmittedWorkDone();
    await park();
    const other = device.createBuffer({ size: 256, usage: COPY_SRC });
    const texture = device.createTexture({
      size: [1],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.COPY_SRC,
    });
    const encoded = (record: (encoder: GPUCommandEncoder) => void) => () => {
      const encoder = device.createCommandEncoder();
      record(encoder);
      encoder.finish();
    };
    for (const write of [
      () => device.queue.writeBuffer(buffer, 0, new Uint32Array(4)),
      // Longer than one frame.
      () => device.queue.writeBuffer(buffer, 0, new Uint8Array(5 << 20)),
      encoded((encoder) => encoder.clearBuffer(buffer)),
      encoded((encoder) => encoder.copyBufferToBuffer(other, 0, buffer, 0, 16)),
      encoded((encoder) => encoder.copyTextureToBuffer({ texture }, { buffer }, [1])),
    ]) {
      device.pushErrorScope('validation');
      write();
      expect((await device.popErrorScope())?.message, String(write)).toBeDefined();
    }
    expect(errors).toEqual([]);
  });

  it('has the same messages of the compiler for shaders, with errors and without', async () => {
    const { device, park } = await start({ adapter: 'null' });
    device.pushErrorScope('validation');
    const hidden = device.createShaderModule({ code: 'fn f() -> u32 { return 1.5; }' });
    expect(await device.popErrorScope()).not.toBeNull();
    const errors: string[] = [];
    device.onuncapturederror = (event) => {
      event.preventDefault();
      errors.push(event.error.message);
    };
    const wrong = device.createShaderModule({ code: 'fn f() { let a = b; }' });
    const right = device.createShaderModule({ code: 'fn f() { while true { return; discard; } }' });
    const messages = () =>
      Promise.all(
        [hidden, wrong, right].map(async (module) =>
          (await module.getCompilationInfo()).messages.map(
            ({ type, message, lineNum, linePos }) => `${type} ${lineNum}:${linePos} ${message}`,
          ),
        ),
      );
    const before = await messages();
    expect(before.map(({ length }) => length > 0)).toEqual([true, true, true]);
    await park();
    expect(await messages()).toEqual(before);
    expect(errors).toHaveLength(1);
  });

  it('keeps render bundles, whose pipelines are compiled again', async () => {
    const { device, park, errors } = await start();
    const code = `
      @vertex fn vertex(@builtin(vertex_index) at: u32) -> @builtin(position) vec4f {
        return vec4f(array(vec2f(-1, -1), vec2f(3, -1), vec2f(-1, 3))[at], 0, 1);
      }
      @fragment fn fragment() -> @location(0) vec4f { return vec4f(1, 0, 1, 1); }
    `;
    const format = 'rgba8unorm';
    // Older than the objects that its commands name.
    const recorder = device.createRenderBundleEncoder({ colorFormats: [format] });
    const module = device.createShaderModule({ code });
    const pipeline = device.createRenderPipeline({
      layout: 'auto',
      vertex: { module },
      fragment: { module, targets: [{ format }] },
    });
    recorder.setPipeline(pipeline);
    recorder.draw(3);
    const bundle = recorder.finish();
    const { RENDER_ATTACHMENT, COPY_SRC: FROM } = GPUTextureUsage;
    const texture = device.createTexture({ size: [1], format, usage: RENDER_ATTACHMENT | FROM });
    await device.queue.onSubmittedWorkDone();
    await park();
    const copy = device.createBuffer({ size: 4, usage: COPY_SRC | COPY_DST });
    const encoder = device.createCommandEncoder();
    const view = texture.createView();
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view, loadOp: 'clear', storeOp: 'store' }],
    });
    pass.executeBundles([bundle]);
    pass.end();
    encoder.copyTextureToBuffer({ texture }, { buffer: copy }, [1]);
    device.queue.submit([encoder.finish()]);
    expect(await readWords(device, copy)).toEqual([0xffff00ff]);
    expect(errors).toEqual([]);
  });

  it('keeps a buffer mapped that the program reads', async () => {
    const { device, park, errors } = await start();
    const source = device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
    const mapped = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
    device.queue.writeBuffer(mapped, 0, Uint32Array.of(5, 6, 7, 8));
    await mapped.mapAsync(GPUMapMode.READ, 8, 8);
    await park();
    device.pushErrorScope('validation');
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, mapped, 0, 16);
    device.queue.submit([encoder.finish()]);
    expect((await device.popErrorScope())?.message).toMatch(/mapped/);
    expect([...new Uint32Array(mapped.getMappedRange(8, 8))]).toEqual([7, 8]);
    mapped.unmap();
    await mapped.mapAsync(GPUMapMode.READ);
    expect([...new Uint32Array(mapped.getMappedRange())]).toEqual([5, 6, 7, 8]);
    expect(errors).toEqual([]);
  });

  it('keeps a buffer mapped that the program has tried to map once more, beyond its end', async () => {
    const { device, park, errors } = await start({ adapter: 'null' });
    const buffer = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
    await buffer.mapAsync(GPUMapMode.READ);
    await expect(buffer.mapAsync(GPUMapMode.READ, 1024, 8)).rejects.toThrow();
    await park();
    await device.queue.onSubmittedWorkDone();
    expect(errors).toEqual([expect.stringMatching(/offset \(1024\)/)]);
    device.pushErrorScope('validation');
    device.queue.writeBuffer(buffer, 0, new Uint32Array(4));
    expect((await device.popErrorScope())?.message).toMatch(/mapped/);
    buffer.unmap();
    await buffer.mapAsync(GPUMapMode.READ);
    expect(buffer.getMappedRange().byteLength).toBe(16);
  });

  it('keeps the last bytes of a buffer whose size is no multiple of 4', async () => {
    const { device, park, errors } = await start();
    const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST;
    const texture = () => device.createTexture({ size: [2], format: 'r8uint', usage });
    const odd = device.createBuffer({ size: 10, usage: COPY_SRC | COPY_DST });
    const source = texture();
    device.queue.writeTexture({ texture: source }, Uint8Array.of(7, 9), {}, [2]);
    const write = device.createCommandEncoder();
    write.copyTextureToBuffer({ texture: source }, { buffer: odd, offset: 8 }, [2]);
    device.queue.submit([write.finish()]);
    await device.queue.onSubmittedWorkDone();
    await park();
    const target = texture();
    const copy = device.createBuffer({ size: 4, usage: MAP_READ | COPY_DST });
    const read = device.createCommandEncoder();
    read.copyBufferToTexture({ buffer: odd, offset: 8 }, { texture: target }, [2]);
    read.copyTextureToBuffer({ texture: target }, { buffer: copy }, [2]);
    device.queue.submit([read.finish()]);
    await copy.mapAsync(GPUMapMode.READ);
    expect([...new Uint8Array(copy.getMappedRange())]).toEqual([7, 9, 0, 0]);
    expect(errors).toEqual([]);
  });

  it('keeps textures of depth and stencil that are longer than the pieces in which others are read', async () => {
    const { device, park, errors } = await start();
    const [width, height] = [4096, 2100];
    const usage = GPUTextureUsage.COPY_SRC | GPUTextureUsage.COPY_DST;
    const written = Uint8Array.from({ length: width * height }, (_, at) => at % 251);
    const texture = device.createTexture({ size: [width, height], format: 'stencil8', usage });
    device.queue.writeTexture({ texture }, written, { bytesPerRow: width }, [width, height]);
    await device.queue.onSubmittedWorkDone();
    await park();
    const copy = device.createBuffer({ size: width * height, usage: MAP_READ | COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyTextureToBuffer({ texture }, { buffer: copy, bytesPerRow: width }, [width, height]);
    device.queue.submit([encoder.finish()]);
    await copy.mapAsync(GPUMapMode.READ);
    expect(Buffer.compare(new Uint8Array(copy.getMappedRange()), written)).toBe(0);
    expect(errors).toEqual([]);
  });

  it('keeps destroyed resources, their views and their bind groups valid, and destroyed', async () => {
    const { device, park, errors } = await start();
    const { TEXTURE_BINDING } = GPUTextureUsage;
    const data = device.createBuffer({ size: 16, usage: STORAGE });
    const texture = device.createTexture({ size: [1], format: 'r32float', usage: TEXTURE_BINDING });
    const view = texture.createView();
    const layout = device.createBindGroupLayout({
      entries: [
        { binding: 0, visibility: 4, buffer: { type: 'storage' } },
        { binding: 1, visibility: 4, texture: { sampleType: 'unfilterable-float' } },
      ],
    });
    const entries = [
      { binding: 0, resource: { buffer: data } },
      { binding: 1, resource: view },
    ];
    const group = device.createBindGroup({ layout, entries });
    data.destroy();
    texture.destroy();
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    const pipeline = device.createComputePipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module },
    });
    const use = async (used: GPUBindGroup) => {
      device.pushErrorScope('validation');
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, used);
      pass.dispatchWorkgroups(1);
      pass.end();
      const commands = encoder.finish();
      const encoded = (await device.popErrorScope())?.message;
      device.pushErrorScope('validation');
      device.queue.submit([commands]);
      return [encoded, (await device.popErrorScope())?.message];
    };
    const destroyed = [undefined, expect.stringMatching(/destroyed/)];
    expect(await use(group)).toEqual(destroyed);
    await park();
    expect(await use(group)).toEqual(destroyed);
    expect(await use(device.createBindGroup({ layout, entries }))).toEqual(destroyed);
    expect(errors).toEqual([]);
  });

  it('keeps a view invalid whose refusal a scope of the program has caught', async () => {
    const { device, park } = await start();
    const { COPY_SRC: source, TEXTURE_BINDING } = GPUTextureUsage;
    const texture = device.createTexture({ size: [1], format: 'rgba8unorm', usage: TEXTURE_BINDING });
    const entries = [{ binding: 0, visibility: 4, texture: {} }];
    const layout = device.createBindGroupLayout({ entries });
    device.pushErrorScope('validation');
    const view = texture.createView({ usage: TEXTURE_BINDING | source });
    expect(await device.popErrorScope()).not.toBeNull();
    const bind = async () => {
      device.pushErrorScope('validation');
      device.createBindGroup({ layout, entries: [{ binding: 0, resource: view }] });
      return (await device.popErrorScope())?.message;
    };
    expect(await bind()).toMatch(/invalid/i);
    await park();
    expect(await bind()).toMatch(/invalid/i);
  });

  it('keeps the errors that its open scopes have caught, and its open scopes', async () => {
    const { device, park, errors } = await start();
    device.pushErrorScope('validation');
    device.createBuffer({ size: 4, usage: 0 });
    device.pushErrorScope('validation');
    await device.queue.onSubmittedWorkDone();
    await park();
    expect(await device.popErrorScope()).toBeNull();
    expect((await device.popErrorScope())?.message).toMatch(/usage/i);
    expect(errors).toEqual([]);
  });

  it('still refuses copies for which the program gave a resource no usage', async () => {
    const { device, park } = await start();
    const source = device.createBuffer({ size: 16, usage: STORAGE | COPY_DST });
    const target = device.createBuffer({ size: 16, usage: COPY_DST });
    const texture = device.createTexture({
      size: [1],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.TEXTURE_BINDING,
    });
    const refusals = async () => {
      device.pushErrorScope('validation');
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, target, 0, 16);
      // Also an invalid command buffer counts as open until it is submitted.
      device.queue.submit([encoder.finish()]);
      const first = await device.popErrorScope();
      device.pushErrorScope('validation');
      device.queue.writeTexture({ texture }, new Uint8Array(4), {}, [1]);
      const second = await device.popErrorScope();
      device.pushErrorScope('validation');
      texture.createView({ usage: GPUTextureUsage.COPY_SRC });
      const third = await device.popErrorScope();
      return [first, second, third].map((error) => error?.constructor.name);
    };
    const refused = Array(3).fill('GPUValidationError');
    expect(await refusals()).toEqual(refused);
    await park();
    expect(await refusals()).toEqual(refused);
  });

  it.each([
    [
      'a mapped buffer',
      (device: GPUDevice): unknown =>
        device.createBuffer({
          size: 4,
          usage: MAP_READ | COPY_DST,
          mappedAtCreation: true,
          label: 'held',
        }),
      "the buffer 'held' is mapped",
    ],
    [
      'an open encoder',
      (device: GPUDevice): unknown => device.createCommandEncoder(),
      'a GPUCommandEncoder is not finished',
    ],
    [
      'a multisampled texture with stencil',
      (device: GPUDevice): unknown =>
        device.createTexture({
          size: [4, 4],
          format: 'depth24plus-stencil8',
          sampleCount: 4,
          usage: GPUTextureUsage.RENDER_ATTACHMENT,
        }),
      'depth24plus-stencil8, 4 samples',
    ],
  ])('is not made of a session with %s, and the log says why', async (_what, make, why) => {
    const { daemon, device, lines, count } = await start({ adapter: 'null' });
    const kept = make(device);
    await device.queue.onSubmittedWorkDone();
    await until(() => {
      daemon.park();
      return count('session not parked') > 0;
    });
    expect(JSON.stringify(lines)).toContain(why);
    expect(count('session parked')).toBe(0);
    // Collected as garbage, it would be destroyed, and nothing would be in the way.
    expect(kept).toBeDefined();
  });
});
