/**
 * The executor process. Its arguments: the adapter to open (see openGpu), and as JSON where the driver of that keeps
 * shaders (see keepShaders), where that is not for the user's own programs to share. Which folder holds what the tenant's sessions
 * have left, it hears with the first of them, or when it is to make ready for that.
 */
import { join } from 'node:path';
import { invariant } from '../../proto/errors.js';
import type { BoundedFolder } from '../../proto/handshake.js';
import { ContentStore } from '../contents/content-store.js';
import { keepShaders } from '../contents/driver-shaders.js';
import { divide, PROFILES } from '../contents/tenant-folders.js';
import { MOST_WAITING_BYTES, WriteSchedule } from '../contents/write-schedule.js';
import { paceDawn } from '../gpu/dawn-polls.js';
import { openGpu } from '../gpu/open-gpu.js';
import { ProfileStore } from '../profiles/profile-store.js';
import { ProgramProfiles } from '../profiles/program-profiles.js';
import { compileEarly } from './compile-early.js';
import { runExecutor } from './executor-process.js';
import { CLOCK } from './limits/gpu-watchdog.js';
import { openAhead } from './reuse/open-ahead.js';
import type { OpenDevice } from './reuse/open-device.js';
import { ExecutorSession } from './session.js';
import { ACTIVITY_CLOCK, Activity } from './trace/tracer.js';

compileEarly();
const polls = paceDawn();
const [adapter = 'auto', shaders] = process.argv.slice(2);
if (shaders !== undefined) keepShaders(JSON.parse(shaders));
const log = (message: string) => process.stderr.write(`${message}\n`);
/** One for the process: sessions come and go. */
const activity = new Activity({ clock: ACTIVITY_CLOCK });
let kept: Kept | undefined;

interface Kept {
  readonly folder: string;
  readonly store: ContentStore;
  readonly writes: WriteSchedule;
  readonly profiles: ProfileStore;
}

await runExecutor(adapter, {
  async openGpu(choice) {
    const opened = await openGpu(choice);
    polls.isSoftware = opened.adapter.software;
    return opened;
  },
  createSession: (gpu, peer, { program, blobs, limits }, free) => {
    const { store, writes, profiles } = (blobs && keep(blobs)) ?? {};
    return new ExecutorSession(gpu, peer, {
      free: free as OpenDevice[] | undefined,
      profiles: profiles && new ProgramProfiles(program, profiles),
      store,
      writes,
      limits,
      activity,
      polls,
    });
  },
  async compileAhead(gpu, { program, blobs }) {
    const profiles = new ProgramProfiles(program, keep(blobs).profiles);
    const { devices, compiled } = await openAhead(gpu, profiles.devices(), profiles);
    return { inheritance: devices, compiled };
  },
  activity,
  settled: () => kept?.store.idle(),
});

function keep({ path: folder, maxBytes }: BoundedFolder): Kept {
  if (!kept) {
    const writes = new WriteSchedule({ clock: CLOCK, mostBytes: Math.min(MOST_WAITING_BYTES, maxBytes / 4) });
    const room = divide(maxBytes);
    const store = new ContentStore({ folder, maxBytes: room.contents, log, turns: writes });
    const profiles = new ProfileStore(join(folder, PROFILES), room.profiles);
    kept = { folder, store, writes, profiles };
  }
  invariant(kept.folder === folder, 'an executor serves one tenant');
  return kept;
}
