import type { Transport } from '../client/transport/transport.js';
import type { AdapterDescription } from '../proto/handshake.js';
import type { Counters } from '../server/observatory/counters.js';

export interface TestHostOptions {
  /** What `farlight serve --adapter` takes. Default `software`: it is there on every linux-x64 machine. */
  adapter?: string;
  /**
   * `host` (default): a daemon in this process on a free port of 127.0.0.1, with executor processes,
   * as `farlight serve` has them. `memory`: the executor in this very process, with neither sockets
   * nor processes; it has no URL to reach it by.
   */
  transport?: 'host' | 'memory';
  /** How many executor processes are ready for any program. Default 1. */
  spares?: number;
  /** How many executor processes stay warm for the next session of the program that they served last. Default 4. */
  warm?: number;
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
