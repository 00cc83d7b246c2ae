/** The executor process; the one argument is the adapter to open (see openGpu). */
import { openGpu } from '../dawn.js';
import { runExecutor } from './run.js';
import { ExecutorSession } from './session.js';

await runExecutor(process.argv[2] ?? 'auto', {
  openGpu,
  createSession: (gpu, peer) => new ExecutorSession(gpu, peer),
});
