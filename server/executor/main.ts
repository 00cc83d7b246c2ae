/**
 * The executor process. Its arguments: the adapter to open (see openGpu), and, absent where nothing is kept, the
 * folder that holds what the tenant's sessions left and the bytes that their contents may take.
 */
import { join } from 'node:path';
import { BlobStore } from '../blobs/blob-store.js';
import { PROFILES } from '../blobs/tenants.js';
import { openGpu } from '../dawn.js';
import { compileEarly } from './compile-early.js';
import type { Profiles } from './context.js';
import type { OpenDevice } from './open-device.js';
import { ProfileStore } from './profile-store.js';
import { runExecutor } from './run.js';
import { ExecutorSession } from './session.js';

compileEarly();
const [adapter = 'auto', folder, maxBytes] = process.argv.slice(2);
const profileStore = folder === undefined ? undefined : new ProfileStore(join(folder, PROFILES));
const log = (message: string) => process.stderr.write(`${message}\n`);
const store = folder === undefined ? undefined : new BlobStore({ folder, maxBytes: Number(maxBytes), log });

await runExecutor(adapter, {
  openGpu,
  createSession: (gpu, peer, { program, limits }, free) =>
    new ExecutorSession(gpu, peer, {
      free: free as OpenDevice[] | undefined,
      profiles: profileStore && profilesOf(program, profileStore),
      store,
      limits,
    }),
  settled: () => store?.idle(),
});

function profilesOf(program: string, profiles: ProfileStore): Profiles {
  const keyOf = (descriptor: string) => JSON.stringify([program, descriptor]);
  return {
    read: (descriptor) => profiles.read(keyOf(descriptor)),
    write: (descriptor, steps) => profiles.write(keyOf(descriptor), steps),
  };
}
