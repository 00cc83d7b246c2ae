import { INTERNAL } from './api/define.js';
import { asException } from './api/errors.js';
import { GPU as FarlightGPU, sessionOf } from './api/gpu.js';
import type { Stats } from './session/ledger.js';
import { Session, type SessionOptions } from './session/session.js';

/** A GPU with a session of its own. */
export function gpuOf(options: Omit<SessionOptions, 'asException'>): GPU {
  return new FarlightGPU(INTERNAL, new Session({ ...options, asException })) as unknown as GPU;
}

/** What the session of this GPU has counted since it was made. */
export function stats(gpu: GPU): Stats {
  return sessionOf(gpu, 'stats').countedStats();
}

/** Ends the session of this GPU: its devices are lost, and what it awaits is rejected. */
export function close(gpu: GPU): void {
  sessionOf(gpu, 'close').close();
}
