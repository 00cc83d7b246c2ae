// MoveNet lightning on TensorFlow.js: the key points of one person in a photo.
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import {
  estimate,
  keyPoints,
  loadMoveNet,
  preparePhoto,
  samplePhoto,
} from '../../../examples/movenet/pose.mjs';
import { measure, print, readFlags } from './report.mjs';

const { runs, reference } = readFlags();
const input = preparePhoto(samplePhoto());

const gpu = await run('webgpu', runs);
const cpu = reference && (await run('cpu', 1));
print('movenet', `@tensorflow/tfjs ${tf.version.tfjs}`, gpu, cpu);

async function run(provider, runs) {
  if (!(await tf.setBackend(provider))) throw new Error(`TensorFlow.js has no ${provider} backend here`);
  return measure({
    provider,
    runs,
    load: loadMoveNet,
    infer: async (model) => [{ name: 'keypoints', shape: [17, 3], data: await estimate(model, input) }],
    digest: ([{ data }]) => keyPoints(data, input),
  });
}
