import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import {
  BLACK,
  canvas,
  draw,
  filled,
  GREEN,
  pass,
  picture,
  RED,
  rectangle,
  shape,
} from './render-support.js';
import { bufferOf, INDEX, INDIRECT, thrown, VERTEX } from './support.js';

const names = { r: RED, g: GREEN, k: BLACK };
const attachment = { clearValue: [0, 0, 0, 1] };

/** A row of four rectangles, two texels wide. The n-th has the vertices 6n to 6n + 5. */
const columns = Float32Array.from([0, 2, 4, 6].flatMap((left) => rectangle(left, 0, left + 2, 8)));
const rows = (row: string) => Array.from({ length: 8 }, () => row);

/** The columns that `act` draws in red. */
async function drawn(device: GPUDevice, act: (pass: GPURenderPassEncoder) => void): Promise<string[]> {
  const target = canvas(device);
  draw(
    device,
    target,
    (encoded) => {
      encoded.setPipeline(shape(device));
      encoded.setVertexBuffer(0, bufferOf(device, VERTEX, columns));
      act(encoded);
    },
    { attachment },
  );
  return picture(device, target, names);
}

/** A pipeline that draws each instance two texels to the right of the one before. */
function stepping(device: GPUDevice): GPURenderPipeline {
  const code = `
    @vertex fn v(@location(0) at: vec2f, @builtin(instance_index) i: u32) -> @builtin(position) vec4f {
      return vec4f(at.x + f32(i) * 0.5, at.y, 0, 1);
    }
    @fragment fn f() -> @location(0) vec4f { return vec4f(1, 0, 0, 1); }`;
  const module = device.createShaderModule({ code });
  const attributes: GPUVertexAttribute[] = [{ format: 'float32x2', offset: 0, shaderLocation: 0 }];
  return device.createRenderPipeline({
    layout: 'auto',
    vertex: { module, buffers: [{ arrayStride: 8, attributes }] },
    fragment: { module, targets: [{ format: 'rgba8unorm' }] },
  });
}

/** Indices of the columns: the third, then the first. */
const indices16 = Uint16Array.from([12, 13, 14, 15, 16, 17, 0, 1, 2, 3, 4, 5]);

describe('draw', () => {
  parity('draw draws the given number of vertices, from the first vertex', async ({ device }) => {
    expect(await drawn(device, (encoded) => encoded.draw(6))).toEqual(rows('rrkkkkkk'));
    expect(await drawn(device, (encoded) => encoded.draw(6, 1, 6))).toEqual(rows('kkrrkkkk'));
    expect(await drawn(device, (encoded) => encoded.draw(12, 1, 12))).toEqual(rows('kkkkrrrr'));
    expect(await drawn(device, (encoded) => encoded.draw(0))).toEqual(filled('k'));
    expect(await drawn(device, (encoded) => encoded.draw(6, 0))).toEqual(filled('k'));
  });

  parity('draw draws the given number of instances, from the first instance', async ({ device }) => {
    const instances = (count: number, first?: number) =>
      drawn(device, (encoded) => {
        encoded.setPipeline(stepping(device));
        encoded.draw(6, count, 0, first);
      });
    expect(await instances(3)).toEqual(rows('rrrrrrkk'));
    expect(await instances(1, 2)).toEqual(rows('kkkkrrkk'));
  });

  parity('a vertex buffer begins at its offset', async ({ device }) => {
    const found = await drawn(device, (encoded) => {
      encoded.setVertexBuffer(0, bufferOf(device, VERTEX, columns), 48, 48);
      encoded.draw(6);
    });
    expect(found).toEqual(rows('kkrrkkkk'));
  });

  const wrong: [why: string, act: (pass: GPURenderPassEncoder, device: GPUDevice) => void][] = [
    ['more vertices than the buffer has', (encoded) => encoded.draw(25)],
    [
      'a buffer without VERTEX',
      (encoded, device) => {
        encoded.setVertexBuffer(0, device.createBuffer({ size: 64, usage: INDEX }));
        encoded.draw(3);
      },
    ],
    [
      'an offset beyond the buffer',
      (encoded, device) => {
        encoded.setVertexBuffer(0, device.createBuffer({ size: 64, usage: VERTEX }), 68);
      },
    ],
    [
      'a slot over the limit',
      (encoded, device) => {
        encoded.setVertexBuffer(8, device.createBuffer({ size: 64, usage: VERTEX }));
      },
    ],
    [
      'a missing vertex buffer',
      (encoded) => {
        encoded.setVertexBuffer(0, null);
        encoded.draw(3);
      },
    ],
    ['a missing index buffer', (encoded) => encoded.drawIndexed(3)],
  ];
  for (const [why, act] of wrong) {
    parity(`${why} is an error of finish`, async ({ device, invalid }) => {
      await invalid(() =>
        pass(device, canvas(device), (encoded) => {
          encoded.setPipeline(shape(device));
          encoded.setVertexBuffer(0, bufferOf(device, VERTEX, columns));
          act(encoded, device);
        }),
      );
    });
  }

  parity('drawing without a pipeline is an error of finish', async ({ device, invalid }) => {
    await invalid(() => pass(device, canvas(device), (encoded) => encoded.draw(3)));
  });

  parity('a pipeline for other targets is an error of finish', async ({ device, invalid }) => {
    await invalid(() =>
      pass(device, canvas(device, { format: 'bgra8unorm' }), (encoded) => encoded.setPipeline(shape(device))),
    );
  });

  parity('numbers outside their type throw a TypeError', ({ device }) => {
    pass(device, canvas(device), (encoded) => {
      expect(thrown(() => encoded.draw(-1))).toBeInstanceOf(TypeError);
      expect(thrown(() => encoded.draw(2 ** 32))).toBeInstanceOf(TypeError);
      expect(thrown(() => encoded.drawIndexed(3, 1, 0, 2 ** 31))).toBeInstanceOf(TypeError);
      expect(thrown(() => encoded.setVertexBuffer(0, {} as never))).toBeInstanceOf(TypeError);
      expect(thrown(() => encoded.setPipeline({} as never))).toBeInstanceOf(TypeError);
    });
  });
});

describe('drawIndexed', () => {
  parity('drawIndexed takes vertices by indices of either format', async ({ device }) => {
    for (const [format, indices] of [
      ['uint16', indices16],
      ['uint32', Uint32Array.from(indices16)],
    ] as const) {
      const found = await drawn(device, (encoded) => {
        encoded.setIndexBuffer(bufferOf(device, INDEX, indices), format);
        encoded.drawIndexed(12);
      });
      expect(found, format).toEqual(rows('rrkkrrkk'));
    }
  });

  parity(
    'drawIndexed begins at its first index, and adds the base vertex, which may be negative',
    async ({ device }) => {
      const from = (...args: Parameters<GPURenderPassEncoder['drawIndexed']>) =>
        drawn(device, (encoded) => {
          encoded.setIndexBuffer(bufferOf(device, INDEX, indices16), 'uint16');
          encoded.drawIndexed(...args);
        });
      expect(await from(6, 1, 6)).toEqual(rows('rrkkkkkk'));
      expect(await from(6, 1, 6, 6)).toEqual(rows('kkrrkkkk'));
      expect(await from(6, 1, 0, -6)).toEqual(rows('kkrrkkkk'));
    },
  );

  parity('an index buffer begins at its offset', async ({ device }) => {
    const found = await drawn(device, (encoded) => {
      encoded.setIndexBuffer(bufferOf(device, INDEX, indices16), 'uint16', 12, 12);
      encoded.drawIndexed(6);
    });
    expect(found).toEqual(rows('rrkkkkkk'));
  });

  parity('indices beyond the buffer are an error of finish', async ({ device, invalid }) => {
    const indices = bufferOf(device, INDEX, indices16);
    const act = (encode: (encoded: GPURenderPassEncoder) => void) => () =>
      pass(device, canvas(device), (encoded) => {
        encoded.setPipeline(shape(device));
        encoded.setVertexBuffer(0, bufferOf(device, VERTEX, columns));
        encode(encoded);
      });
    await invalid(
      act((encoded) => {
        encoded.setIndexBuffer(indices, 'uint16');
        encoded.drawIndexed(13);
      }),
    );
    await invalid(act((encoded) => encoded.setIndexBuffer(indices, 'uint16', 1)));
    await invalid(act((encoded) => encoded.setIndexBuffer(indices, 'uint16', 0, 26)));
    const plain = device.createBuffer({ size: 16, usage: VERTEX });
    await invalid(act((encoded) => encoded.setIndexBuffer(plain, 'uint16')));
  });

  parity('an index format that does not exist throws a TypeError', ({ device }) => {
    const indices = bufferOf(device, INDEX, indices16);
    pass(device, canvas(device), (encoded) => {
      expect(thrown(() => encoded.setIndexBuffer(indices, 'uint8' as never))).toBeInstanceOf(TypeError);
    });
  });
});

describe('indirect draws', () => {
  parity('an indirect draw reads its numbers from a buffer, at the offset', async ({ device }) => {
    const numbers = bufferOf(device, INDIRECT, Uint32Array.of(0, 6, 1, 6, 0));
    expect(await drawn(device, (encoded) => encoded.drawIndirect(numbers, 4))).toEqual(rows('kkrrkkkk'));
  });

  parity('an indexed indirect draw reads its numbers from a buffer, too', async ({ device }) => {
    const numbers = bufferOf(device, INDIRECT, Uint32Array.of(6, 1, 0, -6 >>> 0, 0));
    const found = await drawn(device, (encoded) => {
      encoded.setIndexBuffer(bufferOf(device, INDEX, indices16), 'uint16');
      encoded.drawIndexedIndirect(numbers, 0);
    });
    expect(found).toEqual(rows('kkrrkkkk'));
  });

  parity('an indirect draw with a first instance draws nothing without the feature', async ({ device }) => {
    const numbers = bufferOf(device, INDIRECT, Uint32Array.of(6, 1, 0, 1));
    expect(await drawn(device, (encoded) => encoded.drawIndirect(numbers, 0))).toEqual(filled('k'));
  });

  parity(
    'an indirect draw begins at its first instance if the feature is enabled',
    async ({ device }) => {
      const numbers = bufferOf(device, INDIRECT, Uint32Array.of(6, 1, 0, 2));
      const found = await drawn(device, (encoded) => {
        encoded.setPipeline(stepping(device));
        encoded.drawIndirect(numbers, 0);
      });
      expect(found).toEqual(rows('kkkkrrkk'));
    },
    { features: ['indirect-first-instance'] },
  );

  parity('the buffer and offset of an indirect draw are checked', async ({ device, invalid }) => {
    const numbers = device.createBuffer({ size: 16, usage: INDIRECT });
    const plain = device.createBuffer({ size: 16, usage: VERTEX, label: 'plain' });
    for (const [buffer, offset] of [
      [numbers, 2],
      [numbers, 4],
      [plain, 0],
    ] as const) {
      await invalid(() =>
        pass(device, canvas(device), (encoded) => {
          encoded.setPipeline(shape(device));
          encoded.setVertexBuffer(0, bufferOf(device, VERTEX, columns));
          encoded.drawIndirect(buffer, offset);
        }),
      );
    }
  });
});
