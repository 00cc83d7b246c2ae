// Renders a picture with PixiJS, without a page or a window, and writes a PNG. It runs on any GPU that
// `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node pixi.mjs [--out FILE.png] [--width PIXELS] [--height PIXELS]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { install } from 'farlight/canvas';
import { withProgress } from '../support/progress.mjs';

// PixiJS takes canvases and animation frames from a page.
install();
const { Application } = await import('pixi.js');
const { drawPicture } = await import('./picture.mjs');

const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: 'pixi.png' },
    width: { type: 'string', default: '640' },
    height: { type: 'string', default: '480' },
  },
});

const app = new Application();
await app.init({
  preference: 'webgpu',
  width: Number(flags.width),
  height: Number(flags.height),
  background: 0x1b3a5c,
  antialias: true,
  // The ticker would draw a frame whenever a screen shows one.
  autoStart: false,
});
drawPicture(app.stage);
const { result: png } = await withProgress('Rendering (compiles the shaders)', () => {
  app.render();
  return app.canvas.toPNG();
});
// Until then it requests one animation frame after the other. It warns of bindings that its own filters
// leave.
app.destroy();

writeFileSync(flags.out, png);
console.log(`Wrote ${flags.out}`);
