import { connect, createServer, type Server, type Socket } from 'node:net';

/** The way of a pair of sockets: to the host, or to the client. */
export type Direction = 'up' | 'down';

interface Pair {
  client: Socket;
  host: Socket;
}

/**
 * Stands between a client and a host on 127.0.0.1, and breaks connections: now, or behind an exact number of
 * bytes. It can also stop to carry anything, as a network does that drops every packet.
 */
export class CuttingProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #hostPort: number;
  #frozen = false;
  /** How many bytes are still let through, both ways together or one way; then the connections are cut. */
  #left: { bytes: number; direction: Direction | undefined } | undefined;
  /** The last bytes before a cut are being written. */
  #cutting = false;
  /** Called behind each cut, for who wants the next one. */
  onCut: (() => void) | undefined;
  cuts = 0;
  connections = 0;
  readonly carried = { up: 0, down: 0 };

  static async start(hostUrl: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(portOf(hostUrl));
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  private constructor(hostPort: number) {
    this.#hostPort = hostPort;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  get url(): string {
    return `grpc://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Leads connections from now on to another host. */
  redirect(hostUrl: string): void {
    this.#hostPort = portOf(hostUrl);
  }

  /** Breaks every connection; what is under way is lost. */
  cut(): void {
    this.#left = undefined;
    this.#cutting = false;
    this.cuts += 1;
    for (const { client, host } of [...this.#pairs]) {
      // Both ways in which a connection ends: by a reset, and by an end that looks like a good one.
      if (this.cuts % 2 === 0) client.resetAndDestroy();
      if (this.cuts % 2 === 0) host.resetAndDestroy();
      client.destroy();
      host.destroy();
    }
    this.onCut?.();
  }

  /** Breaks every connection once so many more bytes have gone through. */
  cutAfter(bytes: number, direction?: Direction): void {
    this.#left = { bytes, direction };
  }

  /** Carries nothing more, and says nothing of it: also not of connections that come, unless those are spared. */
  freeze({ spareNew = false } = {}): void {
    this.#frozen = !spareNew;
    for (const { client, host } of this.#pairs) {
      client.pause();
      host.pause();
    }
  }

  /** Carries on. What its sockets had taken before still arrives. */
  thaw(): void {
    this.#frozen = false;
    for (const { client, host } of this.#pairs) {
      client.resume();
      host.resume();
    }
  }

  async close(): Promise<void> {
    this.#left = undefined;
    this.onCut = undefined;
    for (const { client, host } of this.#pairs) {
      client.destroy();
      host.destroy();
    }
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    this.connections += 1;
    const host = connect({ host: '127.0.0.1', port: this.#hostPort, noDelay: true });
    const pair = { client, host };
    this.#pairs.add(pair);
    this.#carry(client, host, 'up');
    this.#carry(host, client, 'down');
    const close = () => {
      this.#pairs.delete(pair);
      client.destroy();
      host.destroy();
    };
    for (const socket of [client, host]) {
      socket.on('error', () => {});
      socket.on('close', close);
      if (this.#frozen) socket.pause();
    }
  }

  #carry(from: Socket, to: Socket, direction: Direction): void {
    from.on('data', (piece: Buffer) => {
      // Behind the last byte that is to arrive comes none.
      if (this.#cutting) return;
      const left = this.#left;
      const counts = left && (left.direction ?? direction) === direction;
      const through = counts ? piece.subarray(0, left.bytes) : piece;
      this.carried[direction] += through.length;
      if (!counts || piece.length < left.bytes) {
        if (counts) left.bytes -= piece.length;
        to.write(through);
        return;
      }
      this.#left = undefined;
      this.#cutting = true;
      to.write(through, () => this.cut());
    });
    from.on('end', () => to.end());
  }
}

function portOf(url: string): number {
  return Number(new URL(url.replace('grpc:', 'http:')).port);
}
