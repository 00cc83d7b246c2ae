// Renders a scene with Babylon.js, without a page or a window, and writes a PNG. It runs on any GPU that
// `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node babylon.mjs [--out FILE.png] [--width PIXELS] [--height PIXELS]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Logger } from '@babylonjs/core/Misc/logger.js';
import { canvasContext } from 'farlight/canvas';
import { withProgress } from '../support/progress.mjs';
import { createEngine, createScene } from './scene.mjs';

const { values: flags } = parseArgs({
  options: {
    out: { type: 'string', default: 'babylon.png' },
    width: { type: 'string', default: '640' },
    height: { type: 'string', default: '480' },
  },
});

Logger.LogLevels = Logger.WarningLogLevel | Logger.ErrorLogLevel;
const { canvas } = canvasContext({ width: Number(flags.width), height: Number(flags.height) });
const engine = await createEngine(canvas);
const scene = createScene(engine);
const { result: png } = await withProgress('Rendering (compiles the shaders)', async () => {
  await scene.whenReadyAsync();
  // The loop of runRenderLoop does this in each animation frame.
  engine.beginFrame();
  scene.render();
  engine.endFrame();
  return canvas.toPNG();
});
engine.dispose();

writeFileSync(flags.out, png);
console.log(`Wrote ${flags.out}`);
