// A program that computes step by step. It sends what each step has computed to its parent, and waits to be told to go on.
//
//   node --import farlight/register steps.mjs training|movenet|silero|three STEPS
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

const [name, steps] = process.argv.slice(2);
const programs = { training, movenet, silero, three };
const step = await programs[name]();
for (let at = 0; at < Number(steps); at += 1) {
  const values = await step(at);
  const next = new Promise((resolve) => process.once('message', resolve));
  process.send(createHash('sha256').update(Buffer.from(values.buffer)).digest('hex'));
  await next;
}
process.exit(0);

/** A small network learns in each step. The step's values are the weights. */
async function training() {
  const tf = await tensorFlow();
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [2], units: 16, activation: 'tanh' }),
      tf.layers.dense({ units: 3, activation: 'softmax' }),
    ],
  });
  const numbers = (length, seed) => Float32Array.from({ length }, (_, at) => Math.sin(at * 7 + seed));
  model.setWeights(model.getWeights().map(({ shape, size }, at) => tf.tensor(numbers(size, at), shape)));
  const optimizer = tf.train.adam(0.05);
  const points = tf.tensor2d(numbers(64, 9), [32, 2]);
  const classes = tf.oneHot(tf.range(0, 32, 1, 'int32').mod(tf.scalar(3, 'int32')), 3).toFloat();
  return async () => {
    optimizer.minimize(() => tf.losses.softmaxCrossEntropy(classes, model.apply(points)));
    const weights = await Promise.all(model.getWeights().map((weight) => weight.data()));
    return Float32Array.from(weights.flatMap((each) => [...each]));
  };
}

/** The key points of a person in a photo, of which each step changes a pixel. */
async function movenet() {
  const tf = await tensorFlow();
  await tf.ready();
  const { estimate, loadMoveNet, preparePhoto, samplePhoto } = await import(
    '../../../examples/movenet/pose.mjs'
  );
  const model = await loadMoveNet();
  const input = preparePhoto(samplePhoto());
  return async (at) => {
    input.pixels[0] = at % 251;
    return Float32Array.from(await estimate(model, input));
  };
}

/** The probability of speech in a piece of a voice. The model's state goes from step to step. */
async function silero() {
  const { ort } = await import('../../../examples/support/onnx-runtime.mjs');
  const { synthesizeSpeech } = await import('../../../examples/silero/speech.mjs');
  const package_ = import.meta.resolve('@ricky0123/vad-web/package.json');
  const model = await readFile(new URL('./dist/silero_vad_v5.onnx', package_));
  const executionProviders = [{ name: 'webgpu', preferredLayout: 'NCHW' }];
  const session = await ort.InferenceSession.create(model, { executionProviders });
  const audio = synthesizeSpeech({ sampleRate: 16_000, samples: 16_000 });
  const sr = new ort.Tensor('int64', BigInt64Array.of(16_000n), []);
  let state = new ort.Tensor('float32', new Float32Array(256), [2, 1, 128]);
  return async (at) => {
    const samples = audio.slice((at * 64) % 15_000).slice(0, 576);
    const input = new ort.Tensor('float32', samples, [1, samples.length]);
    const { output, stateN } = await session.run({ input, state, sr });
    state = stateN;
    return Float32Array.of(output.data[0], ...stateN.data);
  };
}

/** The picture of a scene with shadows and multisampling, around which the camera moves. */
async function three() {
  const { canvasContext, install } = await import('farlight/canvas');
  install();
  const THREE = await import('three/webgpu');
  const { createScene } = await import('../../../examples/three/scene.mjs');
  const [width, height] = [160, 120];
  const { canvas } = canvasContext({ width, height });
  const renderer = new THREE.WebGPURenderer({ canvas, antialias: true });
  renderer.toneMapping = THREE.ACESFilmicToneMapping;
  renderer.shadowMap.enabled = true;
  await renderer.init();
  const { scene, camera } = createScene(width / height);
  return async (at) => {
    camera.position.set(Math.sin(at / 5) * 7, 2.6, Math.cos(at / 5) * 7);
    camera.lookAt(0, 0.6, 0);
    renderer.render(scene, camera);
    return Uint8Array.from(await canvas.toPNG());
  };
}

async function tensorFlow() {
  const tf = await import('@tensorflow/tfjs');
  await import('@tensorflow/tfjs-backend-webgpu');
  await tf.setBackend('webgpu');
  return tf;
}
