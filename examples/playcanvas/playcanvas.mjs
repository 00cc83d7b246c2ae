// Renders a scene with PlayCanvas, without a page or a window, and writes a PNG. It runs on any GPU that
// `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node playcanvas.mjs [--out FILE.png] [--width PIXELS] [--height PIXELS]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { install } from 'farlight/canvas';
import { withProgress } from '../support/progress.mjs';

// PlayCanvas looks for a page when it loads.
install();
const { createApplication, createScene } = await import('./scene.mjs');

const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: 'playcanvas.png' },
    width: { type: 'string', default: '640' },
    height: { type: 'string', default: '480' },
  },
});

const canvas = document.createElement('canvas');
canvas.width = Number(flags.width);
canvas.height = Number(flags.height);
const app = await createApplication(canvas);
createScene(app);
const { result: png } = await withProgress('Rendering (compiles the shaders)', async () => {
  const frames = canvas.frames();
  app.start();
  // The application draws one animation frame after the other. The first frame shows the whole scene.
  const { value: frame } = await frames.next();
  await frames.return();
  return frame.toPNG();
});
app.destroy();

writeFileSync(flags.out, png);
console.log(`Wrote ${flags.out}`);
