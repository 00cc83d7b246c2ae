import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { Daemon } from '#farlight/server/daemon.js';
import { GpuPolls } from '#farlight/server/gpu/dawn-polls.js';
import { bindGroup, bytesOf, COPY_SRC, dispatch, STORAGE } from '../conformance/support.js';
import { executorsOf } from '../support/machine/processes.js';

/** A machine with a simulated clock, whose GPU is done at a known time. */
function machine({ oversleepMs = 0.06, turnMs = 0.01 } = {}) {
  let at = 1000;
  let next: (() => void) | undefined;
  const seen = { looks: 0, sleptMs: 0, timers: 0, longestDeafMs: 0 };
  const polls = new GpuPolls({
    now: () => at,
    soon: (act) => {
      next = act;
      at += turnMs;
    },
    later: (act) => {
      next = act;
      at += 2;
      seen.timers += 1;
    },
    sleep: (ms) => {
      at += ms + oversleepMs;
      seen.sleptMs += ms + oversleepMs;
      seen.longestDeafMs = Math.max(seen.longestDeafMs, ms + oversleepMs);
    },
  });
  /** Waits for work that takes the GPU so long. Returns how long the wait took, in milliseconds. */
  const wait = (ms: number, meanwhile: (waitedMs: number) => void = () => {}) => {
    Object.assign(seen, { looks: 0, sleptMs: 0, timers: 0, longestDeafMs: 0 });
    const from = at;
    let done = false;
    const look = () => {
      seen.looks += 1;
      done = at - from >= ms;
      if (!done) polls.next(look);
    };
    polls.next(look);
    while (!done) {
      const act = next as () => void;
      next = undefined;
      meanwhile(at - from);
      act();
    }
    return at - from;
  };
  return { polls, seen, wait };
}

describe('an answer of the GPU', () => {
  it('is late by at most a thirtieth of its time, and a turn of the event loop', () => {
    const { wait } = machine();
    for (let ms = 0.01; ms < 2000; ms *= 1.07) expect(wait(ms)).toBeLessThan(ms * 1.033 + 0.02);
  });

  it('is late by at most an eighth of its time with a software GPU, which is polled less', () => {
    const { polls, wait, seen } = machine();
    wait(5);
    const { looks } = seen;
    polls.isSoftware = true;
    for (let ms = 0.01; ms < 2000; ms *= 1.07) expect(wait(ms)).toBeLessThan(ms * 1.126 + 0.02);
    wait(5);
    expect(seen.looks).toBeLessThan(looks / 2);
  });

  it('is polled for without a pause at first, then less and less', () => {
    const { wait, seen } = machine();
    wait(1);
    expect(seen).toMatchObject({ sleptMs: 0, timers: 0 });
    expect(seen.looks).toBeGreaterThan(90);
    wait(50);
    expect(seen.sleptMs).toBeGreaterThan(35);
    expect(seen.timers).toBe(0);
    wait(1000);
    expect(seen.looks).toBeLessThan(1200);
    expect(seen.timers).toBeGreaterThan(400);
  });

  it('is polled for by a timer after 16 ms with a software GPU, whose processor each poll takes', () => {
    const { polls, wait, seen } = machine();
    polls.isSoftware = true;
    wait(15);
    expect(seen.timers).toBe(0);
    const { looks } = seen;
    wait(50);
    expect(seen.timers).toBeGreaterThan(15);
    expect(seen.looks - looks).toBeLessThan(30);
  });

  it('blocks the event loop for at most a third of a millisecond', () => {
    const { wait, seen } = machine();
    wait(60);
    expect(seen.longestDeafMs).toBeLessThan(0.33);
  });

  it('is polled for without a pause again when the program sends something', () => {
    const { polls, wait, seen } = machine();
    wait(500, (waited) => {
      if (waited >= 499) polls.stirred();
    });
    expect(seen.looks).toBeGreaterThan(400);
    // Each question begins a new wait.
    wait(1);
    expect(seen.sleptMs).toBe(0);
  });

  it('is polled for without sleeps where a sleep takes a tick of 15 ms, until that is little', () => {
    const { wait, seen } = machine({ oversleepMs: 15 });
    wait(60);
    expect(seen.sleptMs).toBe(0);
    for (const ms of [100, 300, 1000]) expect(wait(ms)).toBeLessThan(ms * 1.033);
  });
});

/** The processor time of a process's first thread, in milliseconds. */
function firstThreadMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

describe.runIf(process.platform === 'linux')('an executor that waits for a GPU', () => {
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software' });
  });
  afterAll(() => daemon.close());

  it('leaves the processor to others', async () => {
    const gpu = create({ host: daemon.url });
    const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
    const code = `@group(0) @binding(0) var<storage, read_write> cells: array<u32>;
      @compute @workgroup_size(1) fn main() { for (var i = 0u; i < 2000000u; i++) { cells[0] = cells[0] + 1u; } }`;
    const module = device.createShaderModule({ code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const buffer = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC });
    const group = bindGroup(device, pipeline, [buffer]);
    const run = async (times: number) => {
      for (let count = 0; count < times; count += 1) device.queue.submit([dispatch(device, pipeline, group)]);
      return new Uint32Array((await bytesOf(device, buffer)).slice().buffer)[0];
    };
    // Compiling is not waiting.
    await run(1);
    const executors = await executorsOf(process.pid);
    const executorsMs = () => executors.reduce((sum, pid) => sum + firstThreadMs(pid), 0);
    let [waitedMs, tookMs, times] = [0, 0, 1];
    for (; waitedMs < 800; times *= 2) {
      const [from, had] = [performance.now(), executorsMs()];
      await run(times);
      [waitedMs, tookMs] = [performance.now() - from, executorsMs() - had];
    }
    expect(await run(1)).toBe(2_000_000 * (times + 1));
    expect(tookMs).toBeLessThan(waitedMs / 4);
    close(gpu);
  });
});
