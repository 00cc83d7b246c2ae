/// <reference types="@webgpu/types" preserve="true" />
/**
 * Farlight: WebGPU on a GPU that is somewhere else. The exports have the shape of npm `webgpu`'s.
 */
import { basename } from 'node:path';
import { INTERNAL } from './api/define.js';
import { asException } from './api/errors.js';
import { GPU as FarlightGPU, sessionOf } from './api/gpu.js';
import { type CreateOptions, parseOptions } from './options.js';
import type { Stats } from './session/ledger.js';
import { Session } from './session/session.js';

export { FarlightError, type FarlightErrorCode } from '../proto/errors.js';
export { globals } from './globals.js';
export type { CreateOptions } from './options.js';
export type { Stats } from './session/ledger.js';
export type { Transport } from './transport/transport.js';

/**
 * Makes a GPU, at once; the host is reached when the program first asks for an adapter.
 *
 * @param options Flags such as `['host=grpc://127.0.0.1:7070']`, or the same as an object. With no
 *   host named, FARLIGHT_HOST is used, and without that a private host on this machine. Flags of npm `webgpu` that
 *   say how Dawn is to run (`backend=...`, `enable-dawn-features=...`) are taken and change nothing.
 * @throws FarlightError BAD_OPTION or BAD_URL where an option is not one.
 */
export function create(options: CreateOptions | readonly string[] = {}): GPU {
  const { transport, batch, reuse } = parseOptions(options);
  const program = basename(process.argv[1] ?? 'node');
  const session = new Session({ transport, program, batch, reuse, asException });
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
