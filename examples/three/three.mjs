// Renders a scene with three.js's WebGPURenderer, without a page or a window, and writes a PNG. It runs on
// any GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node three.mjs [--out FILE.png] [--width PIXELS] [--height PIXELS]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { canvasContext, install } from 'farlight/canvas';
import { withProgress } from '../support/progress.mjs';

// three.js takes animation frames from `self`.
install();
const THREE = await import('three/webgpu');
const { createScene } = await import('./scene.mjs');

const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: 'three.png' },
    width: { type: 'string', default: '640' },
    height: { type: 'string', default: '480' },
  },
});
const width = Number(flags.width);
const height = Number(flags.height);

const { canvas } = canvasContext({ width, height });
const renderer = new THREE.WebGPURenderer({ canvas, antialias: true });
renderer.toneMapping = THREE.ACESFilmicToneMapping;
renderer.shadowMap.enabled = true;
await renderer.init();

const { scene, camera } = createScene(width / height);
const { result: png } = await withProgress('Rendering (compiles the shaders)', async () => {
  await renderer.compileAsync(scene, camera);
  renderer.render(scene, camera);
  return canvas.toPNG();
});
await renderer.dispose();

writeFileSync(flags.out, png);
console.log(`Wrote ${flags.out}`);
