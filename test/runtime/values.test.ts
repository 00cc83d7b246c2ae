import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, create, globals } from '#farlight/client/index.js';
import { messageOf } from '#farlight/proto/errors.js';
import { ScriptedTransport } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

const { GPUBufferUsage, GPUMapMode, GPUTextureUsage } = globals;

/** A value of another realm, as a program has them that a test runner runs in a context of its own. */
const foreign = <T>(code: string): T => runInNewContext(code);

describe('bytes of another realm', () => {
  let fake: FakeGpu;
  let transport: ScriptedTransport;
  let device: GPUDevice;

  beforeEach(async () => {
    fake = new FakeGpu();
    transport = new ScriptedTransport(fake.gpu);
    const opening = create({ transport })
      .requestAdapter()
      .then((adapter) => adapter?.requestDevice());
    await transport.settle();
    device = (await opening) as GPUDevice;
  });

  /** The arguments of that call, where it was made once. */
  async function argumentsOf(name: string): Promise<unknown[]> {
    await transport.settle();
    const calls = fake.calls.filter(([each]) => each === name);
    expect(calls).toHaveLength(1);
    return calls[0]?.[1] ?? [];
  }

  it.each([
    'new Float32Array([1]).buffer',
    'new Float32Array([1])',
    'new DataView(new Float32Array([1]).buffer)',
    'const shared = new SharedArrayBuffer(4); new Float32Array(shared)[0] = 1; shared',
    'const view = new Float32Array(new SharedArrayBuffer(4)); view[0] = 1; view',
  ])('are written to a buffer: %s', async (code) => {
    const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(buffer, 0, foreign(code));
    const [, , bytes] = await argumentsOf('GPUQueue.writeBuffer');
    expect([...(bytes as Uint8Array)]).toEqual([0, 0, 0x80, 0x3f]);
  });

  it('are counted in elements where they are a typed array, and in bytes otherwise', async () => {
    const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(buffer, 0, foreign('new Uint16Array([1, 2, 3, 4])'), 1, 2);
    device.queue.writeBuffer(buffer, 0, foreign('new Uint16Array([1, 2, 3, 4]).buffer'), 2, 4);
    await transport.settle();
    const written = fake.calls.filter(([name]) => name === 'GPUQueue.writeBuffer').map(([, args]) => args[2]);
    expect(written).toEqual([Uint8Array.of(2, 0, 3, 0), Uint8Array.of(2, 0, 3, 0)]);
  });

  it('are dynamic offsets', async () => {
    const pass = device.createCommandEncoder().beginComputePass();
    const layout = device.createBindGroupLayout({ entries: [] });
    const group = device.createBindGroup({ layout, entries: [] });
    const set = pass.setBindGroup.bind(pass) as (...args: unknown[]) => void;
    set(0, group, foreign('new Uint32Array([1, 256, 3])'), 1, 1);
    const [, , offsets] = await argumentsOf('GPUComputePassEncoder.setBindGroup');
    expect(offsets).toEqual([256]);
    for (const code of ['new Int32Array([256])', '({ length: 1, 0: 256 })']) {
      expect(() => set(0, group, foreign(code), 0, 1)).toThrow('is not a Uint32Array');
    }
  });

  it.each(['Uint8ClampedArray', 'Uint8Array'])('are the pixels of an image: %s', async (kind) => {
    const usage = GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
    fake.answers.createTexture = (descriptor: object) => ({ ...descriptor, dimension: '2d', sampleCount: 1 });
    const texture = device.createTexture({ size: [1, 1], format: 'rgba8unorm', usage });
    const source = foreign<object>(`({ width: 1, height: 1, data: new ${kind}([1, 2, 3, 4]) })`);
    device.queue.copyExternalImageToTexture({ source: source as never }, { texture }, [1, 1]);
    const [, bytes] = await argumentsOf('GPUQueue.writeTexture');
    expect([...(bytes as Uint8Array)]).toEqual([1, 2, 3, 4]);
  });

  it('are refused where they only have the prototype', () => {
    const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_DST });
    for (const code of [
      'Object.create(ArrayBuffer.prototype)',
      'Object.create(SharedArrayBuffer.prototype)',
    ]) {
      expect(() => device.queue.writeBuffer(buffer, 0, foreign(code))).toThrow(
        'neither an ArrayBuffer nor a view',
      );
    }
    const source = { width: 0, height: 0, data: Object.create(Uint8ClampedArray.prototype) };
    const usage = GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
    const texture = device.createTexture({ size: [1, 1], format: 'rgba8unorm', usage });
    expect(() => device.queue.copyExternalImageToTexture({ source }, { texture }, [0, 0])).toThrow(
      'no image that exists outside a page',
    );
  });
});

describe('what a program gets', () => {
  let gpu: GPU;
  beforeEach(() => {
    gpu = create({ adapter: 'null' });
  });
  afterEach(() => close(gpu));

  it('is an ArrayBuffer of the realm that Farlight was loaded in, also where its memory has served before', async () => {
    const device = await (await gpu.requestAdapter())?.requestDevice();
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = device?.createBuffer({ size: 4 << 20, usage });
    for (let time = 0; time < 3; time += 1) {
      await buffer?.mapAsync(GPUMapMode.READ);
      const range = buffer?.getMappedRange();
      expect(range).toBeInstanceOf(ArrayBuffer);
      expect(range?.byteLength).toBe(4 << 20);
      buffer?.unmap();
    }
  });
});

describe('errors', () => {
  it('errors of another realm are recognized by their message alone', () => {
    expect(messageOf(foreign('new Error("out of paper")'))).toBe('out of paper');
    for (const [thrown, text] of [
      ['a text', 'a text'],
      [undefined, 'undefined'],
      [null, 'null'],
      [{ message: 7 }, '[object Object]'],
    ] as const)
      expect(messageOf(thrown)).toBe(text);
  });

  it('errors in an uncaptured error event are GPUErrors that were constructed', () => {
    const { GPUUncapturedErrorEvent, GPUValidationError } = globals;
    const error = new GPUValidationError('wrong');
    expect(new GPUUncapturedErrorEvent('uncapturederror', { error }).error).toBe(error);
    const forged = Object.create(GPUValidationError.prototype);
    expect(() => new GPUUncapturedErrorEvent('uncapturederror', { error: forged })).toThrow(TypeError);
  });
});
