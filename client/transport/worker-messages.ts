import type { MessagePort } from 'node:worker_threads';
import type { FarlightErrorCode } from '../../proto/errors.js';
import type { HostOptions } from './host-transport.js';
import type { Hello, Welcome } from './transport.js';

/** Where a link leads: the text of a host's address, since a parsed one would arrive without its token. */
export interface Way {
  host: string;
  options: HostOptions;
}

/** Asks the worker for a link, whose messages travel over `port`. */
export interface OpenRequest {
  port: MessagePort;
  /** Where memory of frames that the host has taken comes back, to serve again. */
  spares: MessagePort;
  way: Way;
  hello: Hello;
  /** The Flow's. */
  flow: SharedArrayBuffer;
  /** A BigInt64Array of SAVED. */
  saved: SharedArrayBuffer;
}

/** Bytes that compression kept off the wire, each way. */
export const SAVED = { up: 0, down: 1, length: 2 } as const;

/**
 * A frame, which goes over to the worker; memory of one that came from there, to serve again; or a wish for a beat of
 * the Flow's.
 */
export type ToWorker = Uint8Array<ArrayBuffer> | { spare: Uint8Array<ArrayBuffer> } | 'beat' | 'close';

export type FromWorker =
  | Uint8Array<ArrayBuffer>
  | { welcome: Welcome }
  | 'drain'
  | { closed: { code: FarlightErrorCode; message: string } | undefined };
