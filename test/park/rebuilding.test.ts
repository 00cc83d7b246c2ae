import { describe, expect, it } from 'vitest';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import { LIMIT_NAMES } from '#farlight/proto/gen/webgpu.js';
import { CommandWriter } from '#farlight/proto/wire/command-writer.js';
import type { Kept } from '#farlight/server/executor/live/live-objects.js';
import { type Entry, objectIn } from '#farlight/server/executor/objects/object-table.js';
import { PIECE_BYTES, piecesOfTexture } from '#farlight/server/executor/park/contents/pieces.js';
import { makeLate } from '#farlight/server/executor/park/late-objects.js';
import { type Described, differs, offersLess } from '#farlight/server/executor/park/same-gpu.js';
import type { SessionParts } from '#farlight/server/executor/park/session-state.js';
import type { DecodedCommand } from '#farlight/server/executor/wire/decoded-command.js';

const writer = new CommandWriter({});
writer.u8(OPERATIONS.GPUDevice.createBuffer.opcode);
OPERATIONS.GPUDevice.createBuffer.write(writer, [{ label: '', size: 16, usage: 8, mappedAtCreation: false }]);
/** The shape of a command that creates a buffer. A mark of the frame comes before it. */
const CREATE_BUFFER = (writer.take()[0] as Uint8Array).slice(1);

const FORM = {
  dimension: '2d',
  width: 4096,
  height: 4096,
  depthOrArrayLayers: 1,
  mipLevelCount: 1,
  sampleCount: 1,
} as const;

describe('the pieces of a texture', () => {
  it('are whole levels of stencil and depth16unorm, which copies must cover', () => {
    for (const [format, bytes] of [
      ['stencil8', 4096 * 4096],
      ['depth16unorm', 4096 * 4096 * 2],
    ] as const) {
      expect(piecesOfTexture({ ...FORM, format })?.map((piece) => piece.bytes)).toEqual([bytes]);
    }
  });

  it('are at most 8 MiB of others, and cover each row once', () => {
    for (const [format, sampleCount] of [
      ['rgba8unorm', 1],
      ['rgba16float', 4],
      ['depth24plus', 4],
    ] as const) {
      const pieces = piecesOfTexture({ ...FORM, format, sampleCount }) ?? [];
      const rows = pieces.map((piece) => (piece.kind === 'shader' ? piece.rows : piece.size.height));
      expect(rows.reduce((sum, count) => sum + count, 0)).toBe(4096);
      expect(Math.max(...pieces.map(({ bytes }) => bytes))).toBeLessThanOrEqual(PIECE_BYTES);
    }
  });

  it('are depths by shaders and stencils by copies where a format has both', () => {
    const kinds = piecesOfTexture({ ...FORM, height: 8, format: 'depth24plus-stencil8' });
    expect(kinds?.map(({ kind }) => kind)).toEqual(['shader', 'texture']);
  });

  it('are not known of stencils with several samples', () => {
    for (const format of ['stencil8', 'depth24plus-stencil8', 'depth32float-stencil8'] as const)
      expect(piecesOfTexture({ ...FORM, format, sampleCount: 4 })).toBeUndefined();
  });
});

describe('another GPU', () => {
  const limits = LIMIT_NAMES.map((name): number => (name.endsWith('Alignment') ? 256 : 1000));
  const known: Described = { features: ['shader-f16'], limits, subgroupSizes: [8, 32] };
  const withLimit = (name: string, value: number) => ({
    ...known,
    limits: limits.with(LIMIT_NAMES.indexOf(name as never), value),
  });

  it('takes the place of one that offers as much or less', () => {
    expect(offersLess(known, known)).toBeUndefined();
    expect(offersLess({ ...known, features: ['shader-f16', 'subgroups'] }, known)).toBeUndefined();
    expect(offersLess(withLimit('maxBufferSize', 2000), known)).toBeUndefined();
    expect(offersLess(withLimit('minUniformBufferOffsetAlignment', 64), known)).toBeUndefined();
  });

  it('is refused, with the reason, where a feature or limit is missing', () => {
    expect(offersLess({ ...known, features: [] }, known)).toBe('it has no shader-f16');
    expect(offersLess(withLimit('maxBufferSize', 10), known)).toMatch(
      /maxBufferSize is 10, and 1000 is needed/,
    );
    expect(offersLess(withLimit('minUniformBufferOffsetAlignment', 512), known)).toMatch(/is 512/);
  });

  it('gives a device only where that checks calls as the one before', () => {
    expect(differs(known, known)).toBeUndefined();
    expect(differs({ ...known, features: ['shader-f16', 'subgroups'] }, known)).toMatch(/subgroups/);
    expect(differs(withLimit('maxBufferSize', 2000), known)).toMatch(/maxBufferSize is 2000, and was 1000/);
  });

  it('is refused where its subgroups have sizes that the program does not expect, if it may use them', () => {
    const uses: Described = { ...known, features: ['subgroups'] };
    const withSizes = (least: number, most: number): Described => ({ ...uses, subgroupSizes: [least, most] });
    expect(differs(withSizes(16, 16), uses)).toBeUndefined();
    expect(differs(withSizes(8, 64), uses)).toBe('its subgroups have 8 to 64 invocations, and had 8 to 32');
    expect(differs(withSizes(4, 32), uses)).toMatch(/4 to 32/);
    expect(differs({ ...known, subgroupSizes: [64, 64] }, known)).toBeUndefined();
  });
});

describe('a destroyed buffer that is made again', () => {
  it('takes no memory until a command names it', () => {
    let made = 0;
    let destroyed = 0;
    const buffer = {
      destroy: () => {
        destroyed += 1;
      },
    };
    const device = {
      createBuffer: () => {
        made += 1;
        return buffer;
      },
      pushErrorScope: () => {},
      popErrorScope: async () => null,
    };
    const owner: Entry = { id: 1, kind: 'GPUDevice', device: undefined, object: device };
    const entry: Entry = { id: 2, kind: 'GPUBuffer', device: owner, object: undefined };
    const copyable = { buffer: (as: object, make: (as: object) => object) => make(as) };
    const context = { parkable: { copyable } } as unknown as SessionParts['context'];
    const kept = { command: { shape: CREATE_BUFFER }, operands: [1], payloads: [], isDestroyed: true };
    makeLate(context, entry, kept as unknown as Kept<DecodedCommand>, () => owner);
    expect([made, destroyed, entry.object]).toEqual([0, 0, undefined]);
    expect(objectIn(entry)).toBe(buffer);
    expect(objectIn(entry)).toBe(buffer);
    expect([made, destroyed]).toEqual([1, 1]);
  });
});
