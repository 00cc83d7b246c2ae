import { describe, expect } from 'vitest';
import { canPin } from '#farlight/client/api/buffers/detach.js';
import { parity } from './fixture.js';
import { COPY_DST, COPY_SRC, MAP_READ, MAP_WRITE, READ, thrown, WRITE } from './support.js';

const mapped = (device: GPUDevice, size: number) =>
  device.createBuffer({ size, usage: COPY_SRC, mappedAtCreation: true });

describe('GPUBuffer.getMappedRange', () => {
  parity('getMappedRange returns an ArrayBuffer of the requested size', ({ device }) => {
    const buffer = mapped(device, 64);
    const range = buffer.getMappedRange(8, 12);
    expect(range).toBeInstanceOf(ArrayBuffer);
    expect(range.byteLength).toBe(12);
    expect(buffer.getMappedRange(24).byteLength).toBe(40);
  });

  const refused: [why: string, args: [number?, number?]][] = [
    ['an offset that is not a multiple of eight', [4, 4]],
    ['a size that is not a multiple of four', [0, 6]],
    ['an offset beyond the end', [72]],
    ['a size beyond the end', [0, 68]],
    ['an offset and a size that together pass the end', [56, 12]],
  ];
  for (const [why, args] of refused) {
    parity(`${why} throws OperationError`, async ({ device, valid }) => {
      const buffer = mapped(device, 64);
      await valid(() => {
        const error = thrown(() => buffer.getMappedRange(...args));
        expect(error).toBeInstanceOf(DOMException);
        expect(error.name).toBe('OperationError');
      });
    });
  }

  for (const [why, first, second] of [
    ['the same range', [0, 16], [0, 16]],
    ['a range within another', [0, 16], [8, 4]],
    ['a range around another', [8, 4], [0, 16]],
    ['a range that overlaps the end of another', [0, 12], [8, 8]],
  ] as const) {
    parity(`${why} throws OperationError the second time`, ({ device }) => {
      const buffer = mapped(device, 64);
      buffer.getMappedRange(...first);
      const error = thrown(() => buffer.getMappedRange(...second));
      expect(error.name).toBe('OperationError');
    });
  }

  parity('ranges that touch do not overlap', ({ device }) => {
    const buffer = mapped(device, 64);
    buffer.getMappedRange(8, 8);
    expect(buffer.getMappedRange(0, 8).byteLength).toBe(8);
    expect(buffer.getMappedRange(16, 8).byteLength).toBe(8);
  });

  parity('a rejected range does not overlap others', ({ device }) => {
    const buffer = mapped(device, 64);
    thrown(() => buffer.getMappedRange(0, 68));
    expect(buffer.getMappedRange(0, 64).byteLength).toBe(64);
  });

  parity('a range must lie inside the mapped part', async ({ device }) => {
    const buffer = device.createBuffer({ size: 32, usage: MAP_READ });
    await buffer.mapAsync(READ, 8, 16);
    for (const args of [[], [0, 8], [8], [16, 12], [24, 4]] as [number?, number?][]) {
      expect(thrown(() => buffer.getMappedRange(...args)).name, String(args)).toBe('OperationError');
    }
    expect(buffer.getMappedRange(8, 16).byteLength).toBe(16);
  });

  parity('an empty range at the edges of another one', ({ device, observe }) => {
    const attempt = (...ranges: [number, number][]) => {
      const buffer = mapped(device, 64);
      return ranges.map(([offset, size]) => {
        try {
          return buffer.getMappedRange(offset, size).byteLength;
        } catch (error) {
          return (error as Error).name;
        }
      });
    };
    observe('at the beginning', attempt([8, 8], [8, 0]));
    observe('at the end', attempt([8, 8], [16, 0]));
    observe('inside', attempt([0, 16], [8, 0]));
    observe('twice', attempt([8, 0], [8, 0]));
    observe('around', attempt([8, 0], [0, 16]));
    expect(attempt([0, 8], [8, 0])).toEqual([8, 0]);
  });

  parity(
    'getMappedRange throws OperationError before mapAsync and while it is pending',
    async ({ device }) => {
      const buffer = device.createBuffer({ size: 8, usage: MAP_READ | COPY_DST });
      expect(thrown(() => buffer.getMappedRange()).name).toBe('OperationError');
      const pending = buffer.mapAsync(READ);
      expect(thrown(() => buffer.getMappedRange()).name).toBe('OperationError');
      await pending;
      expect(buffer.getMappedRange().byteLength).toBe(8);
    },
  );

  parity('unmap detaches every range', async ({ device }) => {
    const buffer = device.createBuffer({ size: 32, usage: MAP_WRITE });
    await buffer.mapAsync(WRITE);
    const ranges = [buffer.getMappedRange(0, 8), buffer.getMappedRange(8, 8)];
    const view = new Uint32Array(ranges[0] as ArrayBuffer);
    buffer.unmap();
    for (const range of ranges) expect(range.byteLength).toBe(0);
    expect(view.length).toBe(0);
  });

  parity('destroy detaches every range', async ({ device }) => {
    const buffer = device.createBuffer({ size: 8, usage: MAP_READ });
    await buffer.mapAsync(READ);
    const range = buffer.getMappedRange();
    buffer.destroy();
    expect(range.byteLength).toBe(0);
  });

  parity('a range cannot be transferred where Node allows to prevent it', ({ device, on }) => {
    const buffer = mapped(device, 16);
    const range = buffer.getMappedRange();
    const { port1 } = new MessageChannel();
    try {
      // Newer Nodes throw; Node 20 sends a copy.
      port1.postMessage(range, [range]);
    } catch (error) {
      expect((error as Error).name).toBe('DataCloneError');
    }
    port1.close();
    expect(range.byteLength).toBe(on === 'local' || canPin() ? 16 : 0);
    buffer.unmap();
    expect(range.byteLength).toBe(0);
  });

  parity('a range cannot be transferred after unmap, when it is detached', ({ device }) => {
    const buffer = mapped(device, 16);
    const range = buffer.getMappedRange();
    buffer.unmap();
    const { port1 } = new MessageChannel();
    expect(thrown(() => port1.postMessage(range, [range])).name).toBe('DataCloneError');
    port1.close();
  });

  parity('a new mapping gives new ranges', async ({ device }) => {
    const buffer = device.createBuffer({ size: 8, usage: MAP_READ });
    await buffer.mapAsync(READ);
    const first = buffer.getMappedRange();
    buffer.unmap();
    await buffer.mapAsync(READ);
    const second = buffer.getMappedRange();
    expect(second).not.toBe(first);
    expect(second.byteLength).toBe(8);
    expect(first.byteLength).toBe(0);
  });

  parity('an offset that is negative or not a number throws a TypeError', ({ device }) => {
    const buffer = mapped(device, 8);
    expect(thrown(() => buffer.getMappedRange(-8))).toBeInstanceOf(TypeError);
    expect(thrown(() => buffer.getMappedRange(Number.NaN))).toBeInstanceOf(TypeError);
    expect(thrown(() => buffer.getMappedRange(Number.POSITIVE_INFINITY))).toBeInstanceOf(TypeError);
  });
});
