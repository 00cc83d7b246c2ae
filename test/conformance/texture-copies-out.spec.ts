import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  bytesOfTexture,
  GREEN,
  picture,
  RED,
  RENDER_ATTACHMENT,
  TEXTURE_COPY_DST,
  TEXTURE_COPY_SRC,
} from './render-support.js';
import { bufferOf, bytesOf, COPY_DST, COPY_SRC } from './support.js';
import { copy, image, names, painted, usage } from './texture-copy-support.js';

const chess = ['rgrg', 'grgr', 'rgrg', 'grgr'];

describe('GPUCommandEncoder.copyTextureToBuffer', () => {
  parity('copyTextureToBuffer copies rows, and leaves the bytes between them', async ({ device }) => {
    const buffer = bufferOf(device, COPY_SRC | COPY_DST, new Uint8Array(520).fill(7));
    const texture = painted(device, chess);
    copy(device, (encoder) =>
      encoder.copyTextureToBuffer({ texture, origin: [1, 1] }, { buffer, bytesPerRow: 256 }, [2, 2]),
    );
    const bytes = await bytesOf(device, buffer);
    expect([...bytes.subarray(0, 9)]).toEqual([...RED, ...GREEN, 7]);
    expect([...bytes.subarray(255, 265)]).toEqual([7, ...GREEN, ...RED, 7]);
  });

  parity('copyTextureToBuffer copies one aspect of depth and stencil', async ({ device }) => {
    const texture = image(device, {
      format: 'depth24plus-stencil8',
      usage: usage | RENDER_ATTACHMENT,
      size: [2, 1],
    });
    copy(device, (encoder) => {
      const attachment = { view: texture.createView(), depthClearValue: 1, stencilClearValue: 9 };
      encoder
        .beginRenderPass({
          colorAttachments: [],
          depthStencilAttachment: {
            ...attachment,
            depthLoadOp: 'clear',
            depthStoreOp: 'store',
            stencilLoadOp: 'clear',
            stencilStoreOp: 'store',
          },
        })
        .end();
    });
    const stencil = await bytesOfTexture(device, texture, { aspect: 'stencil-only', bytesPerTexel: 1 });
    expect([...stencil]).toEqual([9, 9]);
  });

  parity('an impossible copy to a buffer is an error of finish', async ({ device, invalid }) => {
    const buffer = device.createBuffer({ size: 1024, usage: COPY_DST });
    const attempt = async (texture: GPUTexture, to: GPUBuffer, aspect: GPUTextureAspect = 'all') => {
      const encoder = device.createCommandEncoder();
      encoder.copyTextureToBuffer({ texture, aspect }, { buffer: to, bytesPerRow: 256 }, [4, 4]);
      await invalid(() => encoder.finish());
    };
    await attempt(image(device, { usage: TEXTURE_COPY_DST, label: 'no source' }), buffer);
    await attempt(
      image(device),
      device.createBuffer({ size: 1024, usage: COPY_SRC, label: 'no destination' }),
    );
    await attempt(image(device, { format: 'depth24plus' }), buffer);
    await attempt(image(device, { format: 'depth24plus-stencil8' }), buffer, 'depth-only');
    const samples = image(device, { sampleCount: 4, usage: TEXTURE_COPY_SRC | RENDER_ATTACHMENT });
    await attempt(samples, buffer);
  });
});

describe('GPUCommandEncoder.copyTextureToTexture', () => {
  parity('copyTextureToTexture copies a part from one place to another', async ({ device }) => {
    const [source, destination] = [painted(device, chess), painted(device, ['bbbb', 'bbbb', 'bbbb'])];
    copy(device, (encoder) =>
      encoder.copyTextureToTexture(
        { texture: source, origin: { x: 0, y: 1 } },
        { texture: destination, origin: [1, 1, 0] },
        { width: 3, height: 2 },
      ),
    );
    expect(await picture(device, destination, names)).toEqual(['bbbb', 'bgrg', 'brgr']);
  });

  parity('copyTextureToTexture copies between layers of one texture', async ({ device }) => {
    const texture = painted(device, ['rg', 'br'], { size: [2, 2, 3] });
    copy(device, (encoder) =>
      encoder.copyTextureToTexture({ texture }, { texture, origin: [0, 0, 2] }, [2, 2, 1]),
    );
    expect(await picture(device, texture, names, { layer: 2 })).toEqual(['rg', 'br']);
    expect(await picture(device, texture, names, { layer: 1 })).toEqual(['..', '..']);
  });

  parity(
    'copyTextureToTexture copies between formats that differ only in srgb',
    async ({ device, valid }) => {
      const destination = image(device, { format: 'rgba8unorm-srgb' });
      const texture = painted(device, chess);
      await valid(() =>
        copy(device, (encoder) =>
          encoder.copyTextureToTexture({ texture }, { texture: destination }, [4, 4]),
        ),
      );
      expect(await picture(device, destination, names)).toEqual(chess);
    },
  );

  parity('an impossible copy to a texture is an error of finish', async ({ device, invalid }) => {
    const texture = image(device, { label: 'one' });
    const attempts: [to: GPUTexture, size: GPUExtent3D, origin?: GPUOrigin3D][] = [
      [texture, [4, 4]],
      [image(device, { format: 'rgba8uint' }), [4, 4]],
      [image(device, { usage: TEXTURE_COPY_SRC }), [4, 4]],
      [image(device), [5, 4]],
      [image(device), [4, 4, 2]],
      [image(device), [4, 4], [1, 0]],
    ];
    for (const [to, size, origin = []] of attempts) {
      const encoder = device.createCommandEncoder();
      encoder.copyTextureToTexture({ texture }, { texture: to, origin }, size);
      await invalid(() => encoder.finish());
    }
  });

  parity("another device's texture is an error of finish", async ({ device, newDevice, invalid }) => {
    const foreign = image(await newDevice(), { label: 'foreign' });
    const encoder = device.createCommandEncoder();
    encoder.copyTextureToTexture({ texture: foreign }, { texture: image(device) }, [4, 4]);
    await invalid(() => encoder.finish());
  });
});
