import { remoteHost } from '../client/transport/open.js';
import type { Transport } from '../client/transport/transport.js';
import type { AdapterDescription } from '../proto/handshake.js';
import { Daemon } from '../server/daemon.js';
import type { Counters } from '../server/observatory/counters.js';
import { memoryHost } from './memory-host.js';

export type { Transport } from '../client/transport/transport.js';
export type { AdapterDescription } from '../proto/handshake.js';
export type { Counters } from '../server/observatory/counters.js';
export { type EmulatedLink, type EmulatedLinkOptions, emulateLink } from './emulator.js';
export { predictStepMs, type StepLedger, type StepLink } from './step-time.js';

export interface TestHostOptions {
  /** What `farlight serve --adapter` takes. Default `software`: it is there on every linux-x64 machine. */
  adapter?: string;
  /**
   * `host` (default): a daemon in this process on a free port of 127.0.0.1, with executor processes,
   * as `farlight serve` has them. `memory`: the executor in this very process, with neither sockets
   * nor processes; it has no URL to reach it by.
   */
  transport?: 'host' | 'memory';
  /** How many executor processes are kept warm. Default 1. */
  spares?: number;
  /** How many executor processes are kept for the next session of the program that they served last. Default 4. */
  kept?: number;
  /**
   * A folder where the host keeps uploads for later sessions, with `host`, as `farlight serve --blobs` takes
   * it. Default `off`: a test leaves nothing behind.
   */
  blobs?: string;
  /** What they may take, in bytes. Default 4 GiB, or less where the disk has less. */
  blobBytes?: number;
}

/** A GPU host for tests. */
export interface TestHost {
  /** For `create({ host: host.url })`, FARLIGHT_HOST, or `farlight run --host`. */
  readonly url: string;
  /** For `create({ transport: host.transport })`; the only way to a host in memory. */
  readonly transport: Transport;
  readonly adapter: AdapterDescription;
  /** What the host has done so far; it counts on while the host runs. */
  readonly counters: Readonly<Counters>;
  /** Ends the sessions that are open, and resolves when no process, socket or timer is left. */
  close(): Promise<void>;
}

/**
 * Starts a GPU host for a test, on a machine that needs no GPU:
 *
 * ```ts
 * const host = await testHost({ adapter: 'software' });
 * const gpu = create({ host: host.url });
 * // ...
 * await host.close();
 * ```
 *
 * @throws FarlightError NO_ADAPTER where the adapter cannot be opened (rejects).
 */
export async function testHost(options: TestHostOptions = {}): Promise<TestHost> {
  const adapter = options.adapter ?? 'software';
  if (options.transport === 'memory') return memoryHost(adapter);
  const { spares, kept, blobs: root = 'off', blobBytes: maxBytes } = options;
  const blobs = root === 'off' ? undefined : { root, maxBytes };
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter, spares, kept, blobs });
  const { url, counters } = daemon;
  const description = daemon.adapter;
  if (!description) throw new Error('Farlight bug: a daemon that started has an adapter');
  return { url, transport: remoteHost(url), adapter: description, counters, close: () => daemon.close() };
}
