import { type NetConnectOpts, Socket } from 'node:net';
import { Flow, type FlowOwner } from './flow.js';
import type { LinkTime } from './link-time.js';

export interface ConnectionOptions {
  target: NetConnectOpts;
  time: LinkTime;
  owner: FlowOwner;
  /** How many bytes each flow may hold. */
  window: { up: number; down: number };
  /** Half the round trip, in milliseconds. */
  delayMs: number;
  /** Both sockets are closed. */
  onEnd(connection: Connection): void;
}

/**
 * A client's connection, and the connection to the host that continues it. As with TCP, the host learns of it
 * after half a round trip, and the client can send after a whole one. If one side ends its stream, the other
 * side learns that after the bytes. If one side resets the connection, the other side learns that after half
 * a round trip.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #client: Socket;
  readonly #host = new Socket({ allowHalfOpen: true });
  readonly #up: Flow;
  readonly #down: Flow;
  #closed = 0;
  #destroyed = false;

  /** Takes over the client's socket, which must be paused. */
  constructor(client: Socket, options: ConnectionOptions) {
    const { target, time, owner, window, delayMs } = options;
    this.#options = options;
    this.#client = client;
    this.#up = new Flow('up', client, this.#host, window.up, owner);
    this.#down = new Flow('down', this.#host, client, window.down, owner);
    this.#watch(client, this.#down);
    this.#watch(this.#host, this.#up);
    time.after(delayMs, () => {
      if (this.#host.destroyed) return;
      this.#host.connect(target);
      this.#host.setNoDelay(true);
      this.#down.start();
    });
    time.after(2 * delayMs, () => this.#up.start());
  }

  /** Call this when the link was frozen or thawed. */
  refresh(): void {
    this.#up.refresh();
    this.#down.refresh();
  }

  /** Ends it on both sides at once with a reset, and drops all bytes under way. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const flow of [this.#up, this.#down]) {
      this.#options.time.remove(flow);
      flow.remove();
    }
    reset(this.#client);
    reset(this.#host);
  }

  #watch(socket: Socket, incoming: Flow): void {
    // The 'close' that follows an error is enough.
    socket.on('error', () => {});
    socket.on('close', () => {
      const orderly = socket.readableEnded && incoming.ended;
      if (!orderly) this.#options.time.after(this.#options.delayMs, () => this.destroy());
      this.#closed += 1;
      if (this.#closed === 2) this.#options.onEnd(this);
    });
  }
}

/**
 * Closes a TCP socket with a reset at once. Socket.resetAndDestroy ends the stream first. If the socket is
 * destroyed before that is done, for example by its own error, Node leaks it. So this sets what that method
 * sets.
 */
function reset(socket: Socket): void {
  // Only established TCP connections can be reset, and none while it is being ended.
  const ending = socket.writableEnded && !socket.writableFinished;
  if (socket.remoteFamily && !ending) (socket as { resetAndClosing?: boolean }).resetAndClosing = true;
  socket.destroy();
}
