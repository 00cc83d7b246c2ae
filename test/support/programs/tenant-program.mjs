// A tenant's program: node tenant-program.mjs HOST WHAT. It says `ready` when it is at what it does:
//   steps    makes steps of about a millisecond of the GPU's work; for each line on stdin it prints how long the
//            middle one of so many took, in milliseconds
//   gpu      keeps the GPU busy, with long submits that it does not wait for one by one; for each line on stdin it
//            prints how many are done
//   endless  submits a shader that never ends
//   memory   takes all the GPU memory that it is given, and goes on asking for more
//   sessions opens sessions until it is refused, and goes on asking
//   uploads  uploads other contents all the time
//   flight   has the host wait for it: asks for long replies, and is stopped before it takes them
import { createInterface } from 'node:readline';
import { create, globals } from 'farlight';

Object.assign(globalThis, globals);
const [host, what] = process.argv.slice(2);
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (line) => process.stdout.write(`${line}\n`);

async function open() {
  const gpu = create({ host });
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('refused');
  const device = await adapter.requestDevice();
  device.addEventListener('uncapturederror', (event) => event.preventDefault());
  return { gpu, device };
}

/** Submits `loops` rounds of counting; `result` reads the count. */
function counter(device, loops) {
  const module = device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> cells: array<u32>;
      @compute @workgroup_size(1) fn main() { for (var i = 0u; i < ${loops}u; i++) { cells[0] = cells[0] + 1u; } }`,
  });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const cells = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC });
  const read = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
  const entries = [{ binding: 0, resource: { buffer: cells } }];
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const submit = () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(cells, 0, read, 0, 16);
    device.queue.submit([encoder.finish()]);
  };
  const result = async () => {
    await read.mapAsync(GPUMapMode.READ);
    const [count] = new Uint32Array(read.getMappedRange().slice(0));
    read.unmap();
    return count;
  };
  return { submit, result };
}

const PROGRAMS = {
  async steps() {
    const { device } = await open();
    const { submit, result } = counter(device, 50_000);
    let done = 0;
    const step = async () => {
      const from = performance.now();
      submit();
      done += 50_000;
      if ((await result()) !== done) throw new Error('a step was lost');
      return performance.now() - from;
    };
    for (let warm = 0; warm < 20; warm++) await step();
    say('ready');
    for await (const line of createInterface({ input: process.stdin })) {
      const times = [];
      for (let count = 0; count < Number(line); count++) times.push(await step());
      say(times.sort((a, b) => a - b)[Math.floor(times.length / 2)]);
    }
  },

  async gpu() {
    const { device } = await open();
    const { submit } = counter(device, 1_000_000);
    let done = 0;
    createInterface({ input: process.stdin }).on('line', () => say(done));
    say('ready');
    for (;;) {
      for (let count = 0; count < 4; count++) {
        submit();
        device.queue.onSubmittedWorkDone().then(() => done++);
      }
      await device.queue.onSubmittedWorkDone();
    }
  },

  async endless() {
    const { device } = await open();
    const { submit } = counter(device, 4_000_000_000);
    submit();
    await device.queue.writeBuffer(device.createBuffer({ size: 4, usage: COPY_DST }), 0, new Uint8Array(4));
    await pause(500);
    say('ready');
  },

  async memory() {
    const { device } = await open();
    const held = [];
    let refused = 0;
    for (;;) {
      device.pushErrorScope('out-of-memory');
      const buffer = device.createBuffer({ size: 8 << 20, usage: STORAGE });
      const error = await device.popErrorScope();
      if (!error) held.push(buffer);
      else if (++refused === 3) say(`ready ${held.length} ${error.message}`);
      if (error) await pause(20);
    }
  },

  async sessions() {
    const held = [];
    let told = false;
    for (;;) {
      const gpu = create({ host });
      try {
        held.push(await (await gpu.requestAdapter()).requestDevice());
      } catch (error) {
        if (!told) say(`ready ${held.length} ${error.code} ${error.message}`);
        told = true;
        await pause(50);
      }
    }
  },

  async uploads() {
    const { device } = await open();
    for (let round = 0; ; round++) {
      // Of another length each time, as weights are: frames of a stream are not kept.
      const size = (1 << 20) - 4 * round;
      const buffer = device.createBuffer({ size, usage: STORAGE | COPY_DST });
      device.queue.writeBuffer(buffer, 0, new Uint8Array(size).fill(round));
      await device.queue.onSubmittedWorkDone();
      buffer.destroy();
      if (round === 16) say('ready');
      await pause(50);
    }
  },

  async flight() {
    const { device } = await open();
    const source = device.createBuffer({ size: 32 << 20, usage: MAP_READ | COPY_DST });
    await device.queue.onSubmittedWorkDone();
    void source.mapAsync(GPUMapMode.READ).catch(() => {});
    void device.queue.onSubmittedWorkDone();
    say('ready');
  },
};

await PROGRAMS[what]();
