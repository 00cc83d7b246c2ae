// A program that recovers in WebGPU's own way: where its device is lost, it asks for an adapter again, and computes
// again. It prints a line for each thing that happens. Its arguments are how often it computes, and by which program:
// `webgpu`, or `tfjs` for TensorFlow.js.
import { tripled } from './tripled.mjs';

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
  return {
    begin: async () => (await navigator.gpu.requestAdapter()).requestDevice(),
    compute: tripled,
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
