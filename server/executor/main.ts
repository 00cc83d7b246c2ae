/** The executor process; the one argument is the adapter to open (see openGpu). */
import { openGpu } from '../dawn.js';
import type { OpenDevice } from './open-device.js';
import { runExecutor } from './run.js';
import { ExecutorSession } from './session.js';

await runExecutor(process.argv[2] ?? 'auto', {
  openGpu,
  createSession: (gpu, peer, free) => new ExecutorSession(gpu, peer, free as OpenDevice[] | undefined),
});
