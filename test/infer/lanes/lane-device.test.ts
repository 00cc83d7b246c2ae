import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stats } from '#farlight/client/index.js';
import { LaneDevice } from '#farlight/infer/lanes/gpu/lane-device.js';

let lane: LaneDevice;

beforeAll(async () => {
  lane = await LaneDevice.open({ adapter: 'null' });
  lane.installGlobals();
});
afterAll(() => lane.close());

const waits = () => stats((globalThis as unknown as { navigator: { gpu: GPU } }).navigator.gpu).waits;

function pipeline(code: string): Promise<GPUComputePipeline> {
  const { device } = lane;
  const module = device.createShaderModule({ code });
  return device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
}

describe('the device of a lane and of its ONNX Runtime', () => {
  it('ONNX Runtime waits neither for pipelines nor for its error scopes', async () => {
    const before = waits();
    lane.device.pushErrorScope('validation');
    await pipeline('@compute @workgroup_size(1) fn main() {}');
    expect(await lane.device.popErrorScope()).toBeNull();
    expect(waits()).toBe(before);
  });

  it('fails work with an error of the GPU, also of a pipeline', async () => {
    const act = async () => {
      await pipeline('no shader');
      return { result: lane.device.queue.onSubmittedWorkDone() };
    };
    await expect(lane.guard(act)).rejects.toThrow(/^The GPU refused the run: /);
    const memory = async () => {
      lane.device.createBuffer({ size: lane.device.limits.maxBufferSize + 4, usage: GPUBufferUsage.STORAGE });
      return { result: Promise.resolve() };
    };
    await expect(lane.guard(memory)).rejects.toMatchObject({ name: 'RunError', memory: false });
  });

  it('guarded work gives its result, or throws its own error', async () => {
    expect(await lane.guard(async () => ({ result: Promise.resolve(7) }))).toBe(7);
    await expect(lane.guard(() => Promise.reject(new Error('early')))).rejects.toThrow('early');
    await expect(lane.guard(async () => ({ result: Promise.reject(new Error('late')) }))).rejects.toThrow(
      'late',
    );
  });
});
