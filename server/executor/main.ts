/**
 * The executor process. Its arguments: the adapter to open (see openGpu), and the folder that holds what the
 * tenant's sessions left, absent where nothing is kept.
 */
import { join } from 'node:path';
import { openGpu } from '../dawn.js';
import type { Profiles } from './context.js';
import type { OpenDevice } from './open-device.js';
import { ProfileStore } from './profile-store.js';
import { runExecutor } from './run.js';
import { ExecutorSession } from './session.js';

const [, , choice = 'auto', folder] = process.argv;
const store = folder === undefined ? undefined : new ProfileStore(join(folder, 'profiles'));

await runExecutor(choice, {
  openGpu,
  createSession: (gpu, peer, { program }, free) =>
    new ExecutorSession(gpu, peer, {
      free: free as OpenDevice[] | undefined,
      profiles: store && profilesOf(program, store),
    }),
});

function profilesOf(program: string, profiles: ProfileStore): Profiles {
  const keyOf = (descriptor: string) => JSON.stringify([program, descriptor]);
  return {
    read: (descriptor) => profiles.read(keyOf(descriptor)),
    write: (descriptor, steps) => profiles.write(keyOf(descriptor), steps),
  };
}
