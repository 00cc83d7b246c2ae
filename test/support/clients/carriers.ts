import { WebSocket } from 'ws';
import type { HostOptions } from '#farlight/client/transport/host-link.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import type { Transport } from '#farlight/client/transport/transport.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { CuttingProxy } from '../lines/cutting-proxy.js';
import { ProxiedHosts } from '../lines/proxied-hosts.js';
import { NGINX } from '../lines/proxies.js';
import { webAddress } from '../pages/pages.js';
import { FAKE_EXECUTOR } from '../repository.js';

/** A way from clients to a host, on which connections can be broken. */
export interface CarriedHost {
  readonly daemon: Daemon;
  readonly cutter: CuttingProxy;
  /** What the cutter leads to. */
  readonly target: string;
  transport(options?: HostOptions): Transport;
  close(): Promise<void>;
}

/**
 * One of the ways in which sessions travel and come back. A unix socket is none: the system says when its client is gone,
 * and nobody is left to come back.
 */
export interface TestCarrier {
  readonly name: string;
  readonly missing?: boolean;
  start(options?: DaemonOptions): Promise<CarriedHost>;
}

/** A page's WebSocket throws nothing where nobody listens for its errors. */
class PageSocket extends WebSocket {
  constructor(url: string) {
    super(url);
    this.on('error', () => {});
  }
}

const fake = { listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR };

export const GRPC: TestCarrier = {
  name: 'gRPC',
  async start(options) {
    const daemon = await Daemon.start({ ...fake, ...options });
    const cutter = await CuttingProxy.start(daemon.url);
    return carried(daemon, cutter, daemon.url, (how) => remoteHost(cutter.url, how));
  },
};

export const GRPC_THROUGH_NGINX: TestCarrier = {
  name: 'gRPC through nginx',
  missing: !NGINX.program,
  async start(options) {
    const hosts = new ProxiedHosts();
    const { daemon, port } = await hosts.startHost({ executorEntry: FAKE_EXECUTOR, ...options });
    const proxy = await hosts.startProxy(NGINX, { hosts: [port] });
    const target = hosts.strangerAt(proxy.port);
    const cutter = await CuttingProxy.start(target);
    return carried(
      daemon,
      cutter,
      target,
      (how) => remoteHost(hosts.urlAt(cutter.port), how),
      () => hosts.close(),
    );
  },
};

export const WEB_SOCKET: TestCarrier = {
  name: 'a WebSocket',
  async start(options) {
    const daemon = await Daemon.start({ ...fake, ...options, dashboard: '127.0.0.1:0' });
    const target = webAddress(daemon);
    const cutter = await CuttingProxy.start(target);
    // What a page has, of which the client takes its own at its import.
    const page = { WebSocket: PageSocket, origin: 'http://127.0.0.1', location: new URL('http://127.0.0.1') };
    Object.assign(globalThis, page, { addEventListener() {}, removeEventListener() {} });
    // Its types are a page's, which these tests are not.
    const module: string = '#farlight/client/browser/web-transport.js';
    const { webTransport } = (await import(module)) as {
      webTransport(host: string, options?: HostOptions): Transport;
    };
    return carried(daemon, cutter, target, (how) => webTransport(`ws://127.0.0.1:${cutter.port}`, how));
  },
};

function carried(
  daemon: Daemon,
  cutter: CuttingProxy,
  target: string,
  transport: (options?: HostOptions) => Transport,
  clean: () => unknown = () => {},
): CarriedHost {
  const close = async () => {
    await cutter.close();
    await daemon.close();
    await clean();
  };
  return { daemon, cutter, target, transport, close };
}
