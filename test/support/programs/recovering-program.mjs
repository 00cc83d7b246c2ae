// A program that recovers in WebGPU's own way: where its device is lost, it asks for an adapter again, and computes
// again. It prints a line for each thing that happens. Its arguments are how often it computes, and by which program:
// `webgpu`, or `tfjs` for TensorFlow.js.
const [times, kind] = process.argv.slice(2);
const { begin, compute } = kind === 'tfjs' ? await tensorFlow() : webGpu();
const say = (line) => process.stdout.write(`${line}\n`);

// Nothing but the loss of its device is awaited in the meantime.
const alive = setInterval(() => {}, 1000);
for (let time = 1; time <= Number(times); time += 1) {
  const device = await untilThere();
  say(`computed ${await compute(device)}`);
  if (time < Number(times)) say(`lost: ${(await device.lost).reason}`);
}
clearInterval(alive);

/** A device, for which the host is asked again and again. */
async function untilThere() {
  for (let asked = 1; ; asked += 1) {
    try {
      return await begin();
    } catch (error) {
      if (asked === 1) say(`asked in vain: ${error.code ?? error}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function webGpu() {
  const code = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
    @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3u) { data[at.x] *= 3; }`;
  return {
    begin: async () => (await navigator.gpu.requestAdapter()).requestDevice(),
    compute: async (device) => {
      const [data, result] = [0x8c, 0x9].map((usage) => device.createBuffer({ size: 16, usage }));
      device.queue.writeBuffer(data, 0, Uint32Array.of(1, 2, 3, 4));
      const module = device.createShaderModule({ code });
      const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
      const entries = [{ binding: 0, resource: { buffer: data } }];
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(1);
      pass.end();
      encoder.copyBufferToBuffer(data, 0, result, 0, 16);
      device.queue.submit([encoder.finish()]);
      await result.mapAsync(GPUMapMode.READ);
      return new Uint32Array(result.getMappedRange());
    },
  };
}

async function tensorFlow() {
  const tf = await import('@tensorflow/tfjs-core');
  await import('@tensorflow/tfjs-backend-webgpu');
  // So little it would compute on this processor.
  tf.env().set('WEBGPU_CPU_FORWARD', false);
  const factory = tf.findBackendFactory('webgpu');
  return {
    begin: async () => {
      tf.removeBackend('webgpu');
      tf.registerBackend('webgpu', factory);
      if (!(await tf.setBackend('webgpu'))) throw new Error('no backend');
      return tf.backend().device;
    },
    compute: () => tf.mul(tf.tensor1d([1, 2, 3, 4]), tf.scalar(3)).data(),
  };
}
