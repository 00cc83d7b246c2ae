// Draws a scene with three.js's WebGPURenderer, first still, then turning. This program has no code for
// Farlight.
import * as THREE from 'three/webgpu';
import { createScene } from '../three/scene.mjs';
import { say } from './page.mjs';

/** How many frames of the turning scene are measured. */
const FRAMES = 20;

export async function main() {
  const canvas = document.querySelector('canvas');
  const { width, height } = canvas;
  const renderer = new THREE.WebGPURenderer({ canvas, antialias: true });
  renderer.setSize(width, height, false);
  renderer.toneMapping = THREE.ACESFilmicToneMapping;
  renderer.shadowMap.enabled = true;
  await renderer.init();
  const { scene, camera } = createScene(width / height);
  say('The host compiles the shaders ...');
  await renderer.compileAsync(scene, camera);
  renderer.render(scene, camera);
  if (!new URLSearchParams(location.search).has('turn')) {
    await renderer.backend.device.queue.onSubmittedWorkDone();
    say('Drawn.');
    return { renderer: renderer.backend.constructor.name };
  }
  const ms = await turn(renderer, scene, camera);
  say(`Turning, at ${(1000 / ms).toFixed(1)} frames a second.`);
  return { frameMs: ms };
}

/** Turns the scene for ever. Resolves to the milliseconds between its first frames. */
function turn(renderer, scene, camera) {
  return new Promise((resolve) => {
    let count = 0;
    let start = 0;
    renderer.setAnimationLoop((time) => {
      if (count === 0) start = time;
      if (count === FRAMES) resolve((time - start) / FRAMES);
      count += 1;
      scene.rotation.y = count / 100;
      renderer.render(scene, camera);
    });
  });
}
