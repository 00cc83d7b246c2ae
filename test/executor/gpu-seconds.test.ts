import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { Daemon } from '#farlight/server/daemon.js';
import { bindGroup, bytesOf, COPY_SRC, dispatch, STORAGE } from '../conformance/support.js';
import { executorsOf, isAlive, until } from '../support/machine/processes.js';

const LIMIT_MS = 2000;

/** It ends when somebody writes 77, and nobody does. A compiler cannot know that, so the software GPU runs it. */
const ENDLESS = `
@group(0) @binding(0) var<storage, read_write> cells: array<u32>;
@compute @workgroup_size(1) fn main() {
  loop {
    if (cells[0] == 77u) { break; }
    cells[1] = cells[1] + 1u;
  }
}`;

const COUNT = `
@group(0) @binding(0) var<storage, read_write> cells: array<u32>;
@compute @workgroup_size(1) fn main() {
  for (var i = 0u; i < 100000u; i++) { cells[0] = cells[0] + 1u; }
}`;

interface Program {
  gpu: GPU;
  device: GPUDevice;
  buffer: GPUBuffer;
  /** How many steps were made so far. */
  steps: number;
  /** Submits the shader once. */
  submit(): void;
}

async function program(url: string, code: string): Promise<Program> {
  const gpu = create({ host: url });
  const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const buffer = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC });
  const group = bindGroup(device, pipeline, [buffer]);
  return {
    gpu,
    device,
    buffer,
    steps: 0,
    submit: () => device.queue.submit([dispatch(device, pipeline, group)]),
  };
}

/** Makes some steps, and awaits the result of each. */
async function makeSteps(program: Program): Promise<void> {
  for (let step = 0; step < 25; step += 1) {
    program.steps += 1;
    program.submit();
    await bytesOf(program.device, program.buffer);
  }
}

describe('an endless shader', () => {
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software', gpuMs: LIMIT_MS });
  });
  afterAll(() => daemon.close());

  it('ends its session with a reason, and another session goes on and computes the same', async () => {
    const normal = await program(daemon.url, COUNT);
    await makeSteps(normal);
    const others = await executorsOf(process.pid);

    const endless = await program(daemon.url, ENDLESS);
    // This process was the spare.
    const running = others.filter(isAlive);
    const settled: string[] = [];
    const note = (name: string) => () => void settled.push(name);
    const from = performance.now();
    endless.submit();
    const promises = [
      endless.device.queue.onSubmittedWorkDone().then(note('done'), note('done')),
      bytesOf(endless.device, endless.buffer).then(note('read'), note('read failed')),
    ];
    endless.device.pushErrorScope('validation');
    promises.push(endless.device.popErrorScope().then(note('popped'), note('popped')));

    const { reason, message } = await endless.device.lost;
    const took = performance.now() - from;
    expect(reason).toBe('unknown');
    expect(message).toMatch(
      /did not finish the program.s work within 2 seconds.*endless loop.*--gpu-seconds/,
    );
    expect(took).toBeGreaterThan(LIMIT_MS * 0.9);
    await Promise.all(promises);
    expect(settled.sort()).toEqual(['done', 'popped', 'read failed']);

    // The process that it kept busy has ended, and the other program's process has not.
    await until(() => running.filter((pid) => !isAlive(pid)).length === 1);
    await until(() => daemon.counters.executorsLost === 1);
    await makeSteps(normal);
    const count = new Uint32Array((await bytesOf(normal.device, normal.buffer)).buffer)[0];
    expect(count).toBe(normal.steps * 100_000);

    const next = await program(daemon.url, COUNT);
    next.submit();
    expect(new Uint32Array((await bytesOf(next.device, next.buffer)).buffer)[0]).toBe(100_000);
  }, 180_000);

  it('does not keep its executor alive when its program has ended', async () => {
    const before = await executorsOf(process.pid);
    const endless = await program(daemon.url, ENDLESS);
    endless.submit();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { executorsWarmed } = daemon.counters;
    close(endless.gpu);
    await until(() => before.filter((pid) => !isAlive(pid)).length === 1);
    expect(daemon.counters.executorsWarmed).toBe(executorsWarmed);
  });

  it('may run for ever where the limit is off', async () => {
    const patient = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software', gpuMs: 0, spares: 0 });
    try {
      const endless = await program(patient.url, ENDLESS);
      endless.submit();
      const outcome = await Promise.race([
        endless.device.lost.then(() => 'lost'),
        new Promise((resolve) => setTimeout(() => resolve('running'), LIMIT_MS * 1.5)),
      ]);
      expect(outcome).toBe('running');
      expect(patient.counters.sessionsActive).toBe(1);
    } finally {
      await patient.close();
    }
  });
});
