import { GPU as FarlightGPU, sessionsOf } from './api/device/gpu.js';
import type { MakeSession } from './api/device/gpu-sessions.js';
import { INTERNAL } from './api/interface.js';
import type { Stats } from './session/ledger.js';

/** A GPU whose commands go over the sessions that `make` gives, one after the other. */
export function gpuOf(make: MakeSession): GPU {
  return new FarlightGPU(INTERNAL, make) as unknown as GPU;
}

/** What the sessions of this GPU have counted since it was made. */
export function stats(gpu: GPU): Stats {
  return sessionsOf(gpu, 'stats').current.countedStats();
}

/** Ends the session of this GPU: its devices are lost, and what it awaits is rejected. It gives no adapter any more. */
export function close(gpu: GPU): void {
  sessionsOf(gpu, 'close').close();
}
