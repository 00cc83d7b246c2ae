import { readFile } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';

/** Loads a TensorFlow.js graph model from files: TensorFlow.js itself can only fetch one from a URL. */
export async function loadGraphModel(url) {
  const { modelTopology, weightsManifest, signature } = JSON.parse(await readFile(url, 'utf8'));
  const files = weightsManifest.flatMap(({ paths }) => paths.map((file) => readFile(new URL(file, url))));
  const weights = Buffer.concat(await Promise.all(files));
  const artifacts = {
    modelTopology,
    signature,
    weightSpecs: weightsManifest.flatMap((group) => group.weights),
    weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength),
  };
  return tf.loadGraphModel(tf.io.fromMemory(artifacts));
}
