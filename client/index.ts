/// <reference types="@webgpu/types" preserve="true" />
/**
 * Farlight: WebGPU on a GPU that is somewhere else. The exports have the shape of npm `webgpu`'s.
 */
import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { markAsFarlight } from '../proto/module-mark.js';
import { gpuOf } from './api/device/gpu.js';
import { asException } from './api/errors.js';
import { observersFor } from './observers/session-observers.js';
import { showStatsAtExit } from './observers/stats-report.js';
import { type CreateOptions, parseOptions, refusalOf } from './options.js';
import { Session } from './session/session.js';
import type { Welcome } from './transport/transport.js';

export { FarlightError, type FarlightErrorCode } from '../proto/errors.js';
export type { MemoryPeak, MemoryState } from '../proto/session/memory.js';
export { close, gpuMemory, stats } from './api/device/gpu.js';
export { type GpuLines, gpuLines, type Line } from './api/device/gpu-lines.js';
export type { GpuMemory, Reservation } from './api/device/gpu-memory.js';
export { globals } from './globals.js';
export type { CreateOptions } from './options.js';
export type { Stats } from './session/stats.js';
export { type AllocatedHosts, allocateHosts } from './transport/open.js';
export type { Transport } from './transport/transport.js';

/**
 * Makes a GPU at once. The host is reached when the program first asks for an adapter. It is reached again
 * when the program asks after its devices were lost, or after the host could not be reached.
 *
 * @param options Flags such as `['host=grpc://127.0.0.1:7070']`, or the same as an object. Without a host,
 *   FARLIGHT_HOST is used; without that, a private host on this machine. `adapter=NAME` chooses among the
 *   GPUs of this machine; a host must have that GPU. Flags that tell npm `webgpu` how to run Dawn
 *   (`backend=...`, `enable-dawn-features=...`) are accepted and change nothing.
 * @throws FarlightError BAD_OPTION or BAD_URL if an option is wrong.
 */
export function create(options: CreateOptions | readonly string[] = {}): GPU {
  const parsed = parseOptions(options);
  const { grouping, reuse, ahead, wanted } = parsed;
  const program = basename(process.argv[1] ?? 'node');
  const gpu = gpuOf((stats) => {
    const { transport, observer, fresh, attach } = observersFor(parsed);
    const refuses = wanted ? ({ adapter }: Welcome) => refusalOf(wanted, adapter) : undefined;
    const shared = { program, grouping, reuse, ahead, asException, stats, refuses };
    const session = new Session({ ...shared, transport, observer, fresh });
    attach(session);
    return session;
  });
  if (process.env.FARLIGHT_STATS && isMainThread) showStatsAtExit(gpu);
  return gpu;
}

// If a package manager installs Farlight as npm `webgpu`, a host must not take it for Dawn: the mark tells.
markAsFarlight(create);
