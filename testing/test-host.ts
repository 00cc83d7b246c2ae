import type { Transport } from '../client/transport/transport.js';
import type { AdapterDescription } from '../proto/session/handshake.js';
import type { Counters } from '../server/observatory/counters.js';

export interface TestHostOptions {
  /** The value of `farlight serve --adapter`. Default `software`, which works on every linux-x64 machine. */
  adapter?: string;
  /**
   * `host` (default): a daemon in this process on a free port of 127.0.0.1, with executor processes, as
   * `farlight serve` has them. `memory`: an executor inside this process, without sockets and other
   * processes; it has no URL.
   */
  transport?: 'host' | 'memory';
  /** How many executor processes are ready for any program. Default 1. */
  spares?: number;
  /** How many executor processes stay warm for the next session of the same program. Default 4. */
  warm?: number;
  /**
   * A folder where the host keeps uploads for later sessions, only with `host`: the value of `farlight serve
   * --contents`. Default `off`: a test leaves nothing behind.
   */
  contents?: string;
  /** The addresses of other hosts to which sessions may have lines: the values of `farlight serve --peer`. */
  peers?: readonly string[];
  /** The address to listen at, only with `host`. Default `127.0.0.1:0`, any free port. */
  listen?: string;
  /** The most bytes of these uploads. Default 4 GiB, or less if the disk has less. */
  contentBytes?: number;
}

/** A GPU host for tests. */
export interface TestHost {
  /** The address for `create({ host: host.url })`, FARLIGHT_HOST, or `farlight run --host`. */
  readonly url: string;
  /** For `create({ transport: host.transport })`, which is the only way to a host in memory. */
  readonly transport: Transport;
  readonly adapter: AdapterDescription;
  /** The counts of the host so far; they go on while the host runs. */
  readonly counters: Readonly<Counters>;
  /** Ends the sessions that are open, and resolves when no process, socket or timer is left. */
  close(): Promise<void>;
}
