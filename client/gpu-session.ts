import { INTERNAL } from './api/define.js';
import { GPU as FarlightGPU, sessionOf } from './api/gpu.js';
import type { Stats } from './session/ledger.js';
import type { Session } from './session/session.js';

/** The GPU whose commands go over this session. */
export function gpuOf(session: Session): GPU {
  return new FarlightGPU(INTERNAL, session) as unknown as GPU;
}

/** What the session of this GPU has counted since it was made. */
export function stats(gpu: GPU): Stats {
  return sessionOf(gpu, 'stats').countedStats();
}

/** Ends the session of this GPU: its devices are lost, and what it awaits is rejected. */
export function close(gpu: GPU): void {
  sessionOf(gpu, 'close').close();
}
