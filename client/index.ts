/// <reference types="@webgpu/types" preserve="true" />
/**
 * Farlight: WebGPU on a GPU that is somewhere else. The exports have the shape of npm `webgpu`'s.
 */
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { markAsFarlight } from '../proto/module-mark.js';
import { gpuOf } from './api/device/gpu.js';
import { asException } from './api/errors.js';
import { observation } from './observers/session-observers.js';
import { showStatsAtExit } from './observers/stats-report.js';
import { type CreateOptions, parseOptions, refusalOf } from './options.js';
import { Session } from './session/session.js';
import type { Welcome } from './transport/transport.js';

export { FarlightError, type FarlightErrorCode } from '../proto/errors.js';
export { close, stats } from './api/device/gpu.js';
export { globals } from './globals.js';
export type { CreateOptions } from './options.js';
export type { Stats } from './session/ledger.js';
export type { Transport } from './transport/transport.js';

/**
 * Makes a GPU, at once; the host is reached when the program first asks for an adapter, and again when it asks for one
 * after its devices were lost, or after the host could not be reached.
 *
 * @param options Flags such as `['host=grpc://127.0.0.1:7070']`, or the same as an object. With no
 *   host named, FARLIGHT_HOST is used, and without that a private host on this machine. `adapter=NAME` chooses among
 *   the GPUs of this machine; a host must have that one. Flags of npm `webgpu` that say how Dawn is to run
 *   (`backend=...`, `enable-dawn-features=...`) are taken and change nothing.
 * @throws FarlightError BAD_OPTION or BAD_URL where an option is not one.
 */
export function create(options: CreateOptions | readonly string[] = {}): GPU {
  const parsed = parseOptions(options);
  const { batch, reuse, wanted } = parsed;
  const program = basename(process.argv[1] ?? 'node');
  const gpu = gpuOf((stats) => {
    const { transport, observer, fresh, attach } = observation(parsed);
    const refuses = wanted ? ({ adapter }: Welcome) => refusalOf(wanted, adapter) : undefined;
    const shared = { program, batch, reuse, asException, stats, refuses };
    const session = new Session({ ...shared, transport, observer, fresh });
    attach(session);
    return session;
  });
  if (process.env.FARLIGHT_STATS && isMainThread) showStatsAtExit(gpu);
  return gpu;
}

// A package manager can be told to install Farlight in the place of npm `webgpu`, where the host looks for Dawn.
markAsFarlight(create);
