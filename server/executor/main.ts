/**
 * The executor process. Its arguments are the adapter to open (see openGpu) and, where it keeps contents,
 * their folder and the bytes that they may take.
 */
import { BlobStore } from '../blobs/blob-store.js';
import { openGpu } from '../dawn.js';
import type { OpenDevice } from './open-device.js';
import { runExecutor } from './run.js';
import { ExecutorSession } from './session.js';

const [adapter = 'auto', folder, maxBytes] = process.argv.slice(2);
const log = (message: string) => process.stderr.write(`${message}\n`);
const store = folder ? new BlobStore({ folder, maxBytes: Number(maxBytes), log }) : undefined;

await runExecutor(adapter, {
  openGpu,
  createSession: (gpu, peer, free) => new ExecutorSession(gpu, peer, free as OpenDevice[] | undefined, store),
  settled: () => store?.idle(),
});
