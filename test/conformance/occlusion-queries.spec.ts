import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { canvas, draw, pass, rectangle, shape } from './render-support.js';
import { bufferOf, bytesOf, COPY_SRC, QUERY_RESOLVE, thrown, VERTEX } from './support.js';

/** Whether each query saw samples: only none or some is guaranteed. */
async function seen(device: GPUDevice, set: GPUQuerySet): Promise<boolean[]> {
  const out = device.createBuffer({ size: set.count * 8, usage: QUERY_RESOLVE | COPY_SRC });
  const encoder = device.createCommandEncoder();
  encoder.resolveQuerySet(set, 0, set.count, out, 0);
  device.queue.submit([encoder.finish()]);
  const counts = new BigUint64Array((await bytesOf(device, out)).buffer);
  return [...counts].map((count) => count > 0n);
}

describe('occlusion queries', () => {
  parity(
    'occlusion queries tell whether anything was drawn between begin and end',
    async ({ device, valid }) => {
      const occlusionQuerySet = device.createQuerySet({ type: 'occlusion', count: 4 });
      const vertices = bufferOf(device, VERTEX, Float32Array.from(rectangle(0, 0, 8, 8)));
      await valid(() =>
        draw(
          device,
          canvas(device),
          (encoded) => {
            encoded.setPipeline(shape(device));
            encoded.setVertexBuffer(0, vertices);
            encoded.beginOcclusionQuery(0);
            encoded.draw(6);
            encoded.endOcclusionQuery();
            encoded.beginOcclusionQuery(1);
            encoded.endOcclusionQuery();
            encoded.beginOcclusionQuery(3);
            encoded.setScissorRect(0, 0, 0, 0);
            encoded.draw(6);
            encoded.endOcclusionQuery();
          },
          { occlusionQuerySet },
        ),
      );
      expect(await seen(device, occlusionQuerySet)).toEqual([true, false, false, false]);
    },
  );

  const wrong: [why: string, act: (encoded: GPURenderPassEncoder) => void][] = [
    ['an index outside the set', (encoded) => encoded.beginOcclusionQuery(2)],
    ['an end without a begin', (encoded) => encoded.endOcclusionQuery()],
    ['a begin without an end', (encoded) => encoded.beginOcclusionQuery(0)],
    [
      'a query inside another',
      (encoded) => {
        encoded.beginOcclusionQuery(0);
        encoded.beginOcclusionQuery(1);
      },
    ],
    [
      'the same query twice in a pass',
      (encoded) => {
        for (let time = 0; time < 2; time++) {
          encoded.beginOcclusionQuery(0);
          encoded.endOcclusionQuery();
        }
      },
    ],
  ];
  for (const [why, act] of wrong) {
    parity(`${why} is an error of finish`, async ({ device, invalid }) => {
      const occlusionQuerySet = device.createQuerySet({ type: 'occlusion', count: 2 });
      await invalid(() => pass(device, canvas(device), act, { occlusionQuerySet }));
    });
  }

  parity(
    'occlusion queries need a set of their type',
    async ({ device, invalid }) => {
      await invalid(() => pass(device, canvas(device), (encoded) => encoded.beginOcclusionQuery(0)));
      const timestamps = device.createQuerySet({ type: 'timestamp', count: 2, label: 'timestamps' });
      await invalid(() => pass(device, canvas(device), () => {}, { occlusionQuerySet: timestamps }));
    },
    { features: ['timestamp-query'] },
  );

  parity('a set of another class throws a TypeError', ({ device }) => {
    const act = () => pass(device, canvas(device), () => {}, { occlusionQuerySet: {} as never });
    expect(thrown(act)).toBeInstanceOf(TypeError);
  });
});
