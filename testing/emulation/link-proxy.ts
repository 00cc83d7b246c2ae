import { type AddressInfo, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { setTimeout } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { Connection } from './connection.js';
import type { Direction, Flow, FlowOwner } from './flow.js';
import { type Line, windowBytes } from './link-schedule.js';
import { LinkTime } from './link-time.js';

/** The counters of a link, in the order of its shared array. */
export const COUNTERS = ['bytesUp', 'bytesDown', 'connections', 'heldBytes', 'mostHeldBytes'] as const;

export interface LinkProxyOptions {
  target: NetConnectOpts;
  up: Line;
  down: Line;
  /** One for each of COUNTERS; other threads may read them at any time. */
  counters: BigInt64Array;
}

/** How often a released port is tried again, and the time between, in milliseconds. */
const LISTEN_TRIES = 50;
const LISTEN_PAUSE_MS = 20;

/** A TCP proxy on loopback whose connections share an emulated link. */
export class LinkProxy implements FlowOwner {
  readonly #options: LinkProxyOptions;
  readonly #server: Server;
  readonly #time: LinkTime;
  readonly #window: { up: number; down: number };
  readonly #connections = new Set<Connection>();
  /** When the link cuts itself: after this many more bytes in this direction. */
  #cut: { direction: Direction; left: number } | undefined;
  #port = 0;

  constructor(options: LinkProxyOptions) {
    const { up, down } = options;
    this.#options = options;
    this.#time = new LinkTime(up, down);
    this.#window = { up: windowBytes(up), down: windowBytes(down) };
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) =>
      this.#connect(client),
    );
  }

  /** Accepts connections on a free port of loopback, or on its former port. Resolves to the port. */
  async accept(): Promise<number> {
    for (let tries = 1; !this.#server.listening; tries += 1) {
      try {
        await this.#listen();
      } catch (error) {
        // Another socket may have the port for a moment.
        if (tries === LISTEN_TRIES || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
        await new native.Promise((resolve) => setTimeout(resolve, LISTEN_PAUSE_MS));
      }
    }
    return this.#port;
  }

  /** Refuses new connections. Open connections stay. */
  refuse(): void {
    this.#server.close();
  }

  /** Ends all connections now, like a router that forgets them: both sides see a reset. */
  cut(): void {
    this.#cut = undefined;
    for (const connection of this.#connections) connection.destroy();
  }

  /** Does the same when this many more bytes have passed in this direction. */
  cutAfter(bytes: number, direction: Direction): void {
    if (bytes === 0) this.cut();
    else this.#cut = { direction, left: bytes };
  }

  /** Stops all bytes, and tells nobody. */
  freeze(): void {
    this.#time.freeze();
    for (const connection of this.#connections) connection.refresh();
  }

  thaw(): void {
    this.#time.thaw();
    for (const connection of this.#connections) connection.refresh();
  }

  /** Ends all connections and leaves nothing behind. */
  async close(): Promise<void> {
    this.#server.close();
    this.cut();
    await this.#time.close();
  }

  get frozen(): boolean {
    return this.#time.frozen;
  }

  read(flow: Flow, bytes: number): void {
    this.#time.send(flow, bytes);
  }

  allowance(direction: Direction): number {
    return this.#cut?.direction === direction ? this.#cut.left : Infinity;
  }

  written(direction: Direction, bytes: number): void {
    this.#count(direction === 'up' ? 'bytesUp' : 'bytesDown', bytes);
    if (this.#cut?.direction !== direction) return;
    this.#cut.left -= bytes;
    if (this.#cut.left <= 0) this.cut();
  }

  held(change: number): void {
    const held = this.#count('heldBytes', change);
    const { counters } = this.#options;
    const most = COUNTERS.indexOf('mostHeldBytes');
    if (held > Number(counters[most])) Atomics.store(counters, most, BigInt(held));
  }

  #count(counter: (typeof COUNTERS)[number], change: number): number {
    const { counters } = this.#options;
    return Number(Atomics.add(counters, COUNTERS.indexOf(counter), BigInt(change))) + change;
  }

  #listen(): Promise<void> {
    return new native.Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  #connect(client: Socket): void {
    const { target, up } = this.#options;
    const connection = new Connection(client, {
      target,
      time: this.#time,
      owner: this,
      window: this.#window,
      delayMs: up.delayMs,
      onEnd: () => {
        this.#connections.delete(connection);
        this.#count('connections', -1);
      },
    });
    this.#connections.add(connection);
    this.#count('connections', 1);
  }
}
