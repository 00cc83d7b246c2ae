import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '#farlight/infer/engine/engine.js';
import { fixedMemory } from '#farlight/infer/engine/host-memory.js';
import { gpuHost } from '#farlight/infer/hosts/engine-hosts.js';
import { FunctionLane } from '#farlight/infer/lanes/functions/function-lane.js';
import { openGpuLane } from '#farlight/infer/lanes/gpu/gpu-lane.js';
import type { Lane } from '#farlight/infer/lanes/lane.js';
import type { Tensor } from '#farlight/infer/service/tensor.js';
import { Daemon } from '#farlight/server/daemon.js';
import { seeded } from '../../support/random/seeded.js';
import { network, onnxBytes, simple, unary } from '../lanes/models.js';
import '../../support/programs/liftoff.js';

const MIB = 2 ** 20;
const GRAPH = `
inputs: [image]
steps:
  net: { model: net, inputs: { image: image } }
  minus: { model: minus, inputs: { x: net.features } }
  mark: { function: mark.mjs#mark, inputs: { mean: net.mean } }
outputs: { y: minus.y, mean: net.mean, mark: mark.mark }
types: { mark: 'FP32[1]' }
`;
const MARK = `
export function mark({ mean }) {
  return { mark: { shape: [1], data: Float32Array.of(Math.max(...mean.data)) } };
}
`;

let folder: string;
let daemon: Daemon;
let engine: Engine;
/** A lane on which the steps are run by hand. */
let lane: Lane;

const fileOf = (name: string): string => join(folder, name, '1', 'model.onnx');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-engine-'));
  const put = (name: string, content: string | Uint8Array): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  };
  put('simple/1/model.onnx', onnxBytes(simple()));
  put('net/1/model.onnx', onnxBytes(network()));
  put('minus/1/model.onnx', onnxBytes(unary('Neg', 'FP32', ['batch', 8, 'height', 'width'])));
  put('graph/graph.yaml', GRAPH);
  put('graph/mark.mjs', MARK);
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    adapter: 'software',
    tenantLimits: { gpuMemory: 64 * MIB },
  });
  const here = {
    name: 'functions',
    resource: 'cpu' as const,
    lanes: 1,
    memory: fixedMemory(0),
    openLane: (name: string) => Promise.resolve(new FunctionLane({ name })),
  };
  engine = new Engine({
    folder,
    hosts: [await gpuHost({ name: 'host', host: daemon.url, lanes: 2, memory: 32 * MIB }), here],
    log: (message) => console.log(message),
  });
  await engine.loaded;
  lane = await openGpuLane({ name: 'by hand', host: daemon.url });
  await lane.load({ id: 'net', file: fileOf('net') });
  await lane.load({ id: 'minus', file: fileOf('minus') });
}, 240_000);
afterAll(async () => {
  await engine.close();
  await lane.close();
  await daemon.close();
  rmSync(folder, { recursive: true });
});

function image(seed: number, size: number): Tensor {
  const random = seeded(seed);
  const values = Float32Array.from({ length: 3 * size * size }, random);
  return { name: 'image', datatype: 'FP32', shape: [1, 3, size, size], data: new Uint8Array(values.buffer) };
}

async function runByHand(
  model: string,
  input: string,
  value: Tensor,
  fetch: string[],
): Promise<Record<string, Tensor>> {
  const inputs = { [input]: [{ value, from: 0, count: 1 }] };
  const { outputs } = await lane.run({ model, inputs, parts: [1], keep: [], fetch });
  return Object.fromEntries(fetch.map((name) => [name, outputs[name]?.[0] as Tensor]));
}

const floats = ({ data }: Tensor): number[] => [...new Float32Array((data as Uint8Array).slice().buffer)];

describe('an engine on lanes with ONNX Runtime', { timeout: 120_000 }, () => {
  it('a model of one shape is learned when it is loaded, and answers', async () => {
    const row = (first: number): Uint8Array =>
      new Uint8Array(Int32Array.from({ length: 16 }, (_, index) => first + index).buffer);
    const inputs: Tensor[] = [
      { name: 'INPUT0', datatype: 'INT32', shape: [1, 16], data: row(100) },
      { name: 'INPUT1', datatype: 'INT32', shape: [1, 16], data: row(1) },
    ];
    const { outputs } = await engine.infer({ model: 'simple', inputs, outputs: ['OUTPUT1'] });
    expect(outputs.map(({ name, shape }) => [name, shape])).toEqual([['OUTPUT1', [1, 16]]]);
    const [difference] = outputs as [Tensor];
    expect([...new Int32Array((difference.data as Uint8Array).slice().buffer)]).toEqual(Array(16).fill(99));
  });

  it('a graph answers bit by bit as its steps by hand, in any batch', async () => {
    const images = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => image(seed, seed % 4 === 0 ? 12 : 8));
    let asked = 0;
    let ran = 0;
    // The scheduler's batches depend on the times that it measures: on a busy machine it may run each image alone.
    for (let round = 0; round < 10 && ran === asked; round += 1) {
      const answers = await Promise.all(
        images.map(async (input) => {
          const { outputs } = await engine.infer({ model: 'graph', inputs: [input] });
          return Object.fromEntries(outputs.map((each) => [each.name, each]));
        }),
      );
      for (const [index, input] of images.entries()) {
        const net = await runByHand('net', 'image', input, ['features', 'mean']);
        const minus = await runByHand('minus', 'x', { ...(net.features as Tensor), name: 'x' }, ['y']);
        const { y, mean, mark } = answers[index] as Record<string, Tensor>;
        expect(y).toEqual(minus.y);
        expect(mean).toEqual(net.mean);
        expect(floats(mark as Tensor)).toEqual([Math.max(...floats(net.mean as Tensor))]);
      }
      asked += images.length;
      const [statistics] = engine.statistics('net');
      expect(statistics?.inferenceCount).toBe(asked);
      ran = statistics?.executionCount ?? 0;
    }
    expect(ran).toBeLessThan(asked);
  });
});
