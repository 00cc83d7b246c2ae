import { describe, expect } from 'vitest';
import { Canvas, canvasContext, requestAnimationFrame } from '#farlight/client/canvas/index.js';
import { parity, type Subject } from './fixture.js';
import { BLUE, GREEN, NOTHING, RED, RENDER_ATTACHMENT, TEXTURE_COPY_SRC } from './render-support.js';

/** A configured canvas of 4 x 4 pixels, with functions that draw to it. */
function configured({ device }: Subject, more: Partial<GPUCanvasConfiguration> = {}) {
  const context = canvasContext({ width: 4, height: 4 });
  context.configure({ device, format: 'rgba8unorm', ...more });
  return {
    context,
    canvas: context.canvas,
    fill: (color: number[]) => fill(device, texture(context), color),
  };
}

const texture = (context: { getCurrentTexture(): GPUTexture }) => context.getCurrentTexture();

function fill(device: GPUDevice, target: GPUTexture, color: number[]): void {
  const [r = 0, g = 0, b = 0, a = 0] = color.map((value) => value / 255);
  const encoder = device.createCommandEncoder();
  const view = target.createView();
  encoder
    .beginRenderPass({
      colorAttachments: [{ view, loadOp: 'clear', clearValue: { r, g, b, a }, storeOp: 'store' }],
    })
    .end();
  device.queue.submit([encoder.finish()]);
}

async function pixel(canvas: Canvas): Promise<number[]> {
  const { data } = await canvas.readPixels();
  return [...data.subarray(0, 4)];
}

describe('the configuration of a canvas', () => {
  parity('getConfiguration returns a complete copy', (t) => {
    const { context } = configured(t);
    const { device, ...rest } = context.getConfiguration() ?? {};
    expect(device).toBe(t.device);
    expect(rest).toEqual({
      format: 'rgba8unorm',
      usage: RENDER_ATTACHMENT,
      viewFormats: [],
      colorSpace: 'srgb',
      toneMapping: { mode: 'standard' },
      alphaMode: 'opaque',
    });
    const viewFormats = ['rgba8unorm-srgb'] as GPUTextureFormat[];
    context.configure({ device: t.device, format: 'rgba8unorm', viewFormats, alphaMode: 'premultiplied' });
    viewFormats.push('rgba8unorm');
    const given = context.getConfiguration() as GPUCanvasConfiguration;
    expect(given).toMatchObject({ viewFormats: ['rgba8unorm-srgb'], alphaMode: 'premultiplied' });
    (given.viewFormats as GPUTextureFormat[]).length = 0;
    expect(context.getConfiguration()?.viewFormats).toHaveLength(1);
  });

  parity('without a configuration getConfiguration is null, and nothing can be drawn', (t) => {
    const context = canvasContext({ width: 4, height: 4 });
    expect(context.getConfiguration()).toBeNull();
    expect(() => context.getCurrentTexture()).toThrow(expect.objectContaining({ name: 'InvalidStateError' }));
    context.configure({ device: t.device, format: 'bgra8unorm' });
    expect(context.getCurrentTexture().format).toBe('bgra8unorm');
    context.unconfigure();
    expect(context.getConfiguration()).toBeNull();
    expect(() => context.getCurrentTexture()).toThrow(expect.objectContaining({ name: 'InvalidStateError' }));
  });

  parity('an invalid configuration throws a TypeError and changes nothing', (t) => {
    const { context, canvas } = configured(t);
    const current = texture(context);
    const { device } = t;
    const wrong: unknown[] = [
      undefined,
      {},
      { device },
      { device, format: 'rgba8snorm' },
      { device: {}, format: 'rgba8unorm' },
      { device: texture(context), format: 'rgba8unorm' },
      { device, format: 'rgba8unorm', alphaMode: 'straight' },
      { device, format: 'rgba8unorm', colorSpace: 'cmyk' },
      { device, format: 'rgba8unorm', toneMapping: { mode: 'dark' } },
      { device, format: 'rgba8unorm', usage: -1 },
      { device, format: 'rgba8unorm', viewFormats: 'rgba8unorm' },
      { device, format: 'rgba8unorm', viewFormats: ['no-format'] },
    ];
    for (const each of wrong)
      expect(() => context.configure(each as GPUCanvasConfiguration), JSON.stringify(each)).toThrow(
        TypeError,
      );
    expect(() => (context.configure as () => void)()).toThrow(TypeError);
    expect(context.getConfiguration()).toMatchObject({ format: 'rgba8unorm' });
    expect(texture(context)).toBe(current);
    expect(canvas.getContext('webgpu')).toBe(context);
  });

  parity('an impossible texture raises an error of the device in configure', async (t) => {
    const { context, canvas } = configured(t);
    await t.invalid(() =>
      context.configure({ device: t.device, format: 'rgba8unorm', viewFormats: ['rgba16float'] }),
    );
    expect(context.getConfiguration()?.viewFormats).toEqual(['rgba16float']);
    await t.invalid(() => texture(context));
    // The size is not a part of the configuration: the canvas may get another.
    canvas.width = 0;
    await t.invalid(() => context.configure({ device: t.device, format: 'rgba8unorm' }));
    canvas.width = 2;
    await t.valid(() => texture(context));
  });
});

describe('the current texture of a canvas', () => {
  parity('the current texture follows the configuration, and is the same until the frame ends', async (t) => {
    const { context, canvas } = configured(t, { usage: RENDER_ATTACHMENT | TEXTURE_COPY_SRC });
    const first = texture(context);
    expect([first.width, first.height, first.depthOrArrayLayers]).toEqual([4, 4, 1]);
    expect([first.mipLevelCount, first.sampleCount, first.dimension]).toEqual([1, 1, '2d']);
    expect(first.usage).toBe(RENDER_ATTACHMENT | TEXTURE_COPY_SRC);
    fill(t.device, first, RED);
    await canvas.readPixels();
    expect(texture(context)).toBe(first);
    await canvas.present();
    expect(texture(context)).not.toBe(first);
    expect(await pixel(canvas)).toEqual([0, 0, 0, 255]);
  });

  parity('drawing to a texture whose frame has ended is an error, as after destroy', async (t) => {
    const { context, canvas } = configured(t);
    for (const end of [
      () => canvas.present(),
      () => context.configure({ device: t.device, format: 'rgba8unorm' }),
      () => Object.assign(canvas, { width: canvas.width }),
      () => context.unconfigure(),
    ]) {
      const ended = texture(context);
      fill(t.device, ended, RED);
      await end();
      await t.invalid(() => fill(t.device, ended, GREEN));
    }
  });

  parity('setting a size gives the canvas another texture, even if the size does not change', async (t) => {
    const { context, canvas, fill } = configured(t);
    const first = texture(context);
    canvas.width = 8;
    const second = texture(context);
    expect([second.width, second.height]).toEqual([8, 4]);
    expect(first.width).toBe(4);
    fill(RED);
    await canvas.present();
    const { height } = canvas;
    canvas.height = height;
    expect(texture(context)).not.toBe(second);
    expect(await pixel(canvas)).toEqual([0, 0, 0, 255]);
    canvas.width = -1;
    canvas.height = -1;
    expect([texture(context).width, texture(context).height]).toEqual([300, 150]);
  });
});

describe('the picture of a canvas', () => {
  parity('a canvas is empty before anything is drawn: black if it is opaque', async (t) => {
    expect(await pixel(new Canvas(4, 4))).toEqual(NOTHING);
    expect(await pixel(configured(t, { alphaMode: 'premultiplied' }).canvas)).toEqual(NOTHING);
    expect(await pixel(configured(t).canvas)).toEqual([0, 0, 0, 255]);
  });

  parity(
    'the picture is everything drawn so far, and stays after its frame until the next one',
    async (t) => {
      const { canvas, fill } = configured(t);
      fill(RED);
      const early = canvas.readPixels();
      fill(GREEN);
      expect([...(await early).data.subarray(0, 4)]).toEqual(RED);
      expect(await pixel(canvas)).toEqual(GREEN);
      canvas.present();
      expect(await pixel(canvas)).toEqual(GREEN);
      await canvas.present();
      expect(await pixel(canvas)).toEqual(GREEN);
      fill(BLUE);
      canvas.present();
      expect(await pixel(canvas)).toEqual(BLUE);
    },
  );

  for (const format of ['rgba8unorm', 'bgra8unorm', 'rgba16float'] as const)
    parity(`the picture is right in ${format}, opaque or multiplied by alpha`, async (t) => {
      const color = [102, 51, 0, 102];
      const opaque = configured(t, { format });
      opaque.fill(color);
      expect(await pixel(opaque.canvas)).toEqual([102, 51, 0, 255]);
      const premultiplied = configured(t, { format, alphaMode: 'premultiplied' });
      premultiplied.fill(color);
      await premultiplied.canvas.present();
      expect(await pixel(premultiplied.canvas)).toEqual([255, 128, 0, 102]);
    });

  parity('the picture has all rows from the top, also with an unaligned width', async (t) => {
    const context = canvasContext({ width: 65, height: 3 });
    context.configure({ device: t.device, format: 'rgba8unorm', usage: RENDER_ATTACHMENT | 0x2 });
    const texels = Uint8Array.from({ length: 65 * 3 * 4 }, (_, at) => (at % 4 === 3 ? 255 : at % 251));
    t.device.queue.writeTexture({ texture: texture(context) }, texels, { bytesPerRow: 65 * 4 }, [65, 3]);
    const { width, height, data } = await context.canvas.readPixels();
    expect([width, height]).toEqual([65, 3]);
    expect([...data]).toEqual([...texels]);
  });

  parity('reading rejects if the texture could not be made, or was destroyed by the program', async (t) => {
    const { context, canvas, fill } = configured(t);
    fill(RED);
    texture(context).destroy();
    await expect(canvas.readPixels()).rejects.toThrow(/the canvas has no picture/);
    canvas.present();
    await expect(canvas.toPNG()).rejects.toThrow(/the canvas has no picture/);
    fill(GREEN);
    await canvas.present();
    expect(await pixel(canvas)).toEqual(GREEN);
  });

  parity('reading rejects if the device is lost, and so do frames', async (t) => {
    const device = await t.newDevice();
    const { canvas, fill } = configured({ ...t, device });
    fill(RED);
    const frames = canvas.frames();
    const next = frames.next();
    device.destroy();
    await expect(canvas.readPixels()).rejects.toThrow();
    await canvas.present();
    await expect(next).rejects.toThrow();
    expect(await frames.next()).toEqual({ done: true, value: undefined });
  });

  parity('reading raises no error in the program, whatever happens', async (t) => {
    const { context, canvas, fill } = configured(t);
    fill(RED);
    texture(context).destroy();
    await Promise.allSettled([canvas.present(), canvas.readPixels()]);
    expect(await t.uncaptured()).toEqual([]);
  });
});

describe('the frames of a canvas', () => {
  parity('frames come one by one, each once, in the order of presentation', async (t) => {
    const { canvas, fill } = configured(t);
    fill(BLUE);
    await canvas.present();
    const stop = new AbortController();
    const frames = canvas.frames({ signal: stop.signal });
    const draw = async () => {
      for (let at = 0; at < 10; at += 1) {
        fill([20 * at, 0, 0, 255]);
        await canvas.present();
      }
      stop.abort();
    };
    const drawn = draw();
    const seen: number[][] = [];
    for await (const { number, data } of frames) seen.push([number, data[0] as number]);
    await drawn;
    expect(seen).toEqual(Array.from({ length: 10 }, (_, at) => [at + 2, 20 * at]));
  });

  parity('no animation frame is lost, however slowly frames are taken', async (t) => {
    const { canvas, fill } = configured(t);
    const frames = canvas.frames();
    let drawn = 0;
    const draw = () => {
      drawn += 1;
      fill([drawn, 0, 0, 255]);
      if (drawn < 12) requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
    const reds: number[] = [];
    for await (const { number, data } of frames) {
      reds.push(data[0] as number);
      expect(drawn - number).toBeLessThanOrEqual(5);
      if (number === 12) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(reds).toEqual(Array.from({ length: 12 }, (_, at) => at + 1));
  });

  parity('frames hold back a program that awaits present, until they are taken', async (t) => {
    const { canvas, fill } = configured(t);
    const frames = canvas.frames();
    let drawn = 0;
    const draw = async () => {
      for (; drawn < 8; drawn += 1) {
        fill(RED);
        await canvas.present();
      }
    };
    const drawing = draw();
    await t.device.queue.onSubmittedWorkDone();
    for (let round = 0; round < 20; round += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(drawn).toBe(2);
    for await (const { number } of frames) if (number === 8) break;
    await drawing;
    expect(drawn).toBe(8);
  });
});
