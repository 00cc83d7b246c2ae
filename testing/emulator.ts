import { Worker } from 'node:worker_threads';
import { parseHostAddress } from '../link/dial/host-address.js';
import { native } from '../link/machine/globals.js';
import { packageProgram } from '../link/machine/package-files.js';
import { FarlightError } from '../proto/errors.js';
import type { Done, EmulatorData, Order } from './emulation/emulator-thread.js';
import type { Direction } from './emulation/flow.js';
import { COUNTERS } from './emulation/link-proxy.js';

export interface EmulatedLinkOptions {
  /** The host's address, `grpc://HOST:PORT` or `unix:/PATH`, such as `testHost` gives. */
  target: string;
  /** The round trip in milliseconds, half of it each way. Default 0. */
  rttMs?: number | undefined;
  /** How much earlier or later each way may randomly be, in milliseconds. Default 0. */
  jitterMs?: number | undefined;
  /** Megabits (1,000,000 bits) a second, in each direction, for all connections together. Default: no limit. */
  mbit?: number | undefined;
}

/**
 * A link to a host with a round trip, jitter and a bandwidth. A change takes effect when its promise
 * resolves.
 */
export interface EmulatedLink {
  /** The address for programs, instead of the host's. */
  readonly url: string;
  /** Bytes that arrived at the host, and at programs, so far. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Connections that are open now. */
  readonly connections: number;
  /** Bytes that are under way now, and the most that ever were. */
  readonly heldBytes: number;
  readonly mostHeldBytes: number;
  /** Ends all connections now; both sides see a reset. New ones are accepted. */
  cut(): Promise<void>;
  /**
   * Does the same when exactly this many more bytes have passed: `up` to the host (default) or `down` from
   * it. If bytes came just before, Node shows a reset as the end of the stream.
   */
  cutAfter(bytes: number, direction?: 'up' | 'down'): Promise<void>;
  /** Stops all bytes in both directions. Connections stay open, and bytes under way stay under way. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Refuses new connections, as if nothing listened. Open connections stay. */
  refuse(): Promise<void>;
  /** Accepts new connections again. */
  accept(): Promise<void>;
  /** Ends all connections, and resolves when no thread, socket or timer is left. */
  close(): Promise<void>;
}

/**
 * Starts an emulated link:
 *
 * ```ts
 * const link = await emulateLink({ target: host.url, rttMs: 30, mbit: 100 });
 * const gpu = create({ host: link.url });
 * // ...
 * await link.close();
 * ```
 *
 * It runs in threads of its own, so that a busy program does not slow it down.
 *
 * @throws FarlightError BAD_URL or BAD_OPTION (rejects).
 */
export async function emulateLink(options: EmulatedLinkOptions): Promise<EmulatedLink> {
  const { url, target } = parseHostAddress(options.target);
  checkLinkOptions(options);
  const { rttMs = 0, jitterMs = 0, mbit } = options;
  const line = { delayMs: rttMs / 2, jitterMs, mbit };
  const counters = new BigInt64Array(new SharedArrayBuffer(8 * COUNTERS.length));
  const thread = new EmulatorThread({ target: connectOptions(target), up: line, down: line, counters });
  const { port } = await thread.tell('accept').catch(async (error) => {
    // The caller gets the error of `accept`. Closing fails only if the thread has ended already.
    await thread.close().catch(() => {});
    throw error;
  });
  const tell = async (...order: Parameters<EmulatorThread['tell']>) => {
    await thread.tell(...order);
  };
  const count = (counter: (typeof COUNTERS)[number]) =>
    Number(Atomics.load(counters, COUNTERS.indexOf(counter)));
  return {
    // The rest of the address stays as the host gave it.
    url: target.startsWith('unix:') ? `grpc://127.0.0.1:${port}` : url.replace(target, `127.0.0.1:${port}`),
    get bytesUp() {
      return count('bytesUp');
    },
    get bytesDown() {
      return count('bytesDown');
    },
    get connections() {
      return count('connections');
    },
    get heldBytes() {
      return count('heldBytes');
    },
    get mostHeldBytes() {
      return count('mostHeldBytes');
    },
    cut: () => tell('cut'),
    cutAfter: (bytes, direction = 'up') => tell('cutAfter', bytes, direction),
    freeze: () => tell('freeze'),
    thaw: () => tell('thaw'),
    refuse: () => tell('refuse'),
    accept: () => tell('accept'),
    close: () => thread.close(),
  };
}

/** The thread of a link, and the orders that it has not finished. */
class EmulatorThread {
  readonly #worker: Worker;
  readonly #open = new Map<number, { resolve(done: Done): void; reject(error: Error): void }>();
  readonly #exited: Promise<void>;
  #orders = 0;
  #closing: Promise<void> | undefined;
  /** Why the thread takes no more orders. */
  #ended: Error | undefined;

  constructor(data: EmulatorData) {
    const file = packageProgram('testing/emulation/emulator-thread.js');
    this.#worker = new Worker(file, { workerData: data, execArgv: [] });
    this.#worker.on('message', (done: Done) => {
      const { resolve, reject } = this.#open.get(done.number) ?? {};
      this.#open.delete(done.number);
      if (done.problem === undefined) resolve?.(done);
      else reject?.(new Error(`the emulated link failed: ${done.problem}`));
    });
    const fail = (error: Error) => {
      this.#ended ??= error;
      for (const { reject } of this.#open.values()) reject(error);
      this.#open.clear();
    };
    this.#worker.on('error', fail);
    this.#exited = new native.Promise((resolve) => {
      this.#worker.on('exit', () => {
        fail(new Error('the emulated link is closed'));
        resolve();
      });
    });
  }

  tell(what: Order['what'], bytes?: number, direction?: Direction): Promise<Done> {
    if (this.#ended) return native.Promise.reject(this.#ended);
    if (this.#closing && what !== 'close')
      return native.Promise.reject(new Error('the emulated link is closed'));
    const number = ++this.#orders;
    return new native.Promise((resolve, reject) => {
      this.#open.set(number, { resolve, reject });
      const order: Order = {
        number,
        what,
        ...(bytes !== undefined && { bytes }),
        ...(direction && { direction }),
      };
      this.#worker.postMessage(order);
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#ended ? this.#exited : this.tell('close').then(() => this.#exited);
    return this.#closing;
  }
}

const RANGES = {
  rttMs: { name: 'rtt', least: 0, most: 60_000, unit: 'milliseconds' },
  jitterMs: { name: 'jitter', least: 0, most: 60_000, unit: 'milliseconds' },
  mbit: { name: 'mbit', least: 0.01, most: 100_000, unit: 'megabits a second' },
} as const;

/** @throws FarlightError BAD_OPTION if a value is out of range. */
export function checkLinkOptions(options: Omit<EmulatedLinkOptions, 'target'>): void {
  for (const option of Object.keys(RANGES) as (keyof typeof RANGES)[]) {
    const value = options[option];
    const { name, least, most, unit } = RANGES[option];
    if (value === undefined || (value >= least && value <= most)) continue;
    throw new FarlightError(
      'BAD_OPTION',
      `${name} of an emulated link is a number of ${unit} from ${least} to ${most}, not ${value}`,
    );
  }
}

/** Turns an address as gRPC takes it into one that net.connect takes. */
function connectOptions(target: string): EmulatorData['target'] {
  if (target.startsWith('unix:')) return { path: target.slice('unix:'.length), allowHalfOpen: true };
  const colon = target.lastIndexOf(':');
  const host = target.slice(0, colon).replace(/^\[|\]$/g, '');
  return { host, port: Number(target.slice(colon + 1)) };
}
