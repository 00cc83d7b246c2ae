// Renders a scene with three.js's WebGPURenderer, without a page or a window, and writes a PNG. There is nothing of
// Farlight in this program: it runs on whatever GPU `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node three.mjs [--out FILE.png] [--width PIXELS] [--height PIXELS]
import { parseArgs } from 'node:util';
import * as THREE from 'three/webgpu';
import { writePng } from '../support/image.mjs';
import { withProgress } from '../support/progress.mjs';
import { createCanvas } from './page.mjs';
import { createScene } from './scene.mjs';

const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: 'three.png' },
    width: { type: 'string', default: '640' },
    height: { type: 'string', default: '480' },
  },
});
const width = Number(flags.width);
const height = Number(flags.height);

const renderer = new THREE.WebGPURenderer({ canvas: createCanvas(width, height), antialias: true });
renderer.toneMapping = THREE.ACESFilmicToneMapping;
renderer.shadowMap.enabled = true;
await renderer.init();

// It gets what the canvas of a page would: tone mapped, and in the color space of a screen.
const target = new THREE.RenderTarget(width, height);
renderer.setOutputRenderTarget(target);

const { scene, camera } = createScene(width / height);
const { result: data } = await withProgress('Rendering (compiles the shaders)', async () => {
  await renderer.compileAsync(scene, camera);
  renderer.render(scene, camera);
  return renderer.readRenderTargetPixelsAsync(target, 0, 0, width, height);
});
await renderer.dispose();

writePng(flags.out, { width, height, data });
console.log(`Wrote ${flags.out}`);
