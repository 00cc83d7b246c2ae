import { type TestHost, testHost } from '#farlight/testing/index.js';
import { CuttingProxy } from './cutting-proxy.js';
import { ProxiedHosts } from './proxied-hosts.js';
import { NGINX } from './proxies.js';

/** One way from a program to a host, with a place in it where connections are cut. */
export interface CutWay {
  readonly url: string;
  readonly cutter: CuttingProxy;
}

/** A host on the software GPU, and the ways to it. */
export interface CutHost {
  /** The host, where nothing is cut. */
  readonly url: string;
  /** A new way; where there are two places to cut at, at one and the other in turn. */
  way(): Promise<CutWay>;
  close(): Promise<void>;
}

/** A line whose connections are cut. */
export interface Cuttable {
  readonly name: string;
  readonly missing: boolean;
  /** In how many places connections are cut: that many ways cover all. */
  readonly places: number;
  /** After how many bytes at most a loop of short steps is cut again; connecting takes a third of them, or less. */
  readonly often: number;
  start(): Promise<CutHost>;
}

export const DIRECT: Cuttable = {
  name: 'gRPC',
  missing: false,
  places: 1,
  often: 4000,
  async start() {
    const host: TestHost = await testHost({ adapter: 'software', spares: 1 });
    return {
      url: host.url,
      async way() {
        const cutter = await CuttingProxy.start(host.url);
        return { url: cutter.url, cutter };
      },
      close: () => host.close(),
    };
  },
};

export const THROUGH_NGINX: Cuttable = {
  name: 'gRPC through nginx',
  missing: !NGINX.program,
  places: 2,
  // TLS is set up anew on each connection.
  often: 15_000,
  async start() {
    const hosts = new ProxiedHosts();
    const { port } = await hosts.startHost({ adapter: 'software', spares: 1 });
    const proxy = await hosts.startProxy(NGINX, { hosts: [port] });
    let ways = 0;
    return {
      url: hosts.urlAt(proxy.port),
      async way() {
        ways += 1;
        // In front of the proxy, and behind it.
        if (ways % 2 === 1) {
          const cutter = await CuttingProxy.start(hosts.strangerAt(proxy.port));
          return { url: hosts.urlAt(cutter.port), cutter };
        }
        const cutter = await CuttingProxy.start(`grpc://127.0.0.1:${port}`);
        const other = await hosts.startProxy(NGINX, { hosts: [cutter.port] });
        return { url: hosts.urlAt(other.port), cutter };
      },
      close: () => hosts.close(),
    };
  },
};
