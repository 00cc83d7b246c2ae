/**
 * The executor process. Its arguments: the adapter to open (see openGpu), and as JSON the folder for the driver's shaders
 * (see keepShaders), where those are not the user's own. The first session, or the first command to compile ahead, says
 * which folder is the tenant's.
 */
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { PROCESS_CLOCK } from '../../link/machine/timer.js';
import { invariant } from '../../proto/errors.js';
import type { BoundedFolder } from '../../proto/session/executor-messages.js';
import { ContentStore } from '../contents/content-store.js';
import { keepShaders } from '../contents/driver-shaders.js';
import { divide, PROFILES } from '../contents/tenant-folders.js';
import { MOST_WAITING_BYTES, WriteSchedule } from '../contents/write-schedule.js';
import { paceDawn } from '../gpu/dawn-polls.js';
import { findDeviceMemory } from '../gpu/device-memory.js';
import { openGpu } from '../gpu/open-gpu.js';
import { ProfileStore, ProgramProfiles } from '../profiles/profile-store.js';
import { runExecutor } from './executor-process.js';
import { openAhead } from './reuse/open-ahead.js';
import type { OpenDevice } from './reuse/open-device.js';
import { ExecutorSession } from './session.js';
import { TRACE_CLOCK, Tracer } from './trace/tracer.js';

/**
 * How much bytecode a function runs before V8 looks whether to optimise it, in bytes. V8's own budget is 132 KiB. An
 * executor does few things, a program waits for each of them, and with this they are fast after half the repetitions.
 * A much smaller budget compiles functions that are not worth it: decision 38 has the measurements.
 */
const INTERRUPT_BUDGET = 50_000;

setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET}`);
const polls = paceDawn();
const [adapter = 'auto', shaders] = process.argv.slice(2);
if (shaders !== undefined) keepShaders(JSON.parse(shaders));
const log = (message: string) => process.stderr.write(`${message}\n`);
/** One for all sessions of the process. */
const tracer = new Tracer({ clock: TRACE_CLOCK });
let opened: TenantFolder | undefined;

/** The open folder of the tenant that this process serves. */
interface TenantFolder {
  readonly path: string;
  readonly store: ContentStore;
  readonly writes: WriteSchedule;
  readonly profiles: ProfileStore;
}

await runExecutor(adapter, {
  async openGpu(choice) {
    const gpu = await openGpu(choice);
    polls.isSoftware = gpu.adapter.software;
    return gpu;
  },
  createSession: ({ gpu, adapter }, peer, { program, folder, limits, welcome, parks, wasParked }, free) => {
    const { store, writes, profiles } = (folder && openFolder(folder)) ?? {};
    return new ExecutorSession(gpu, peer, {
      free: free as OpenDevice[] | undefined,
      profiles: profiles && new ProgramProfiles(program, profiles),
      store,
      writes,
      limits,
      hasLines: welcome?.lines,
      parks,
      wasParked,
      tracer,
      polls,
      findCapacity: async () => (await findDeviceMemory(adapter)).capacity,
    });
  },
  async compileAhead(gpu, { program, folder }) {
    const profiles = new ProgramProfiles(program, openFolder(folder).profiles);
    const { devices, compiled } = await openAhead(gpu, profiles.devices(), profiles);
    return { inheritance: devices, compiled };
  },
  tracer,
  settled: () => opened?.store.idle(),
});

function openFolder({ path, maxBytes }: BoundedFolder): TenantFolder {
  if (!opened) {
    const mostBytes = Math.min(MOST_WAITING_BYTES, maxBytes / 4);
    const writes = new WriteSchedule({ clock: PROCESS_CLOCK, mostBytes });
    const shares = divide(maxBytes);
    const store = new ContentStore({ folder: path, maxBytes: shares.contents, log, schedule: writes });
    const profiles = new ProfileStore(join(path, PROFILES), shares.profiles);
    opened = { path, store, writes, profiles };
  }
  invariant(opened.path === path, 'an executor serves one tenant');
  return opened;
}
