// MoveNet through TensorFlow.js.
import { runModel, sessionStart } from './model.mjs';

const session = sessionStart();
const tf = await import('@tensorflow/tfjs');
await import('@tensorflow/tfjs-backend-webgpu');
const { estimate, loadMoveNet, preparePhoto, samplePhoto } = await import('../../examples/movenet/pose.mjs');

await tf.setBackend('webgpu');
const model = await loadMoveNet();
const input = preparePhoto(samplePhoto());
// No two processes see the same picture.
input.pixels[0] = process.pid % 251;
await runModel(() => estimate(model, input), {
  session,
  inputBytes: 192 * 192 * 3 * 4,
  // TF.js pools its buffers: from the third inference on its commands repeat. The rest is for V8.
  warmup: 100,
});
