import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { memoryLog } from '../hosts/memory-log.js';
import { folders, makePair } from '../trust/trust.js';
import { type ProxyKind, type ProxySetting, RealProxy } from './proxies.js';

/** A host that a proxy is to be in front of. */
export interface BehindProxy {
  daemon: Daemon;
  notes: ReturnType<typeof memoryLog>;
  /** Where it listens itself: its address is the proxy's. */
  port: number;
}

/** Hosts that ask for tokens in plaintext on loopback, all for the same tokens, and proxies in front of them. */
export class ProxiedHosts {
  readonly #temporary = folders();
  readonly #trustFolder = this.#temporary.make();
  readonly #pair = makePair();
  readonly #cleanups: (() => Promise<void>)[] = [];
  readonly #token = new TokenStore(join(this.#trustFolder, 'tokens')).add({ tenant: 'alice' }).token;

  async startHost(options: DaemonOptions): Promise<BehindProxy> {
    const notes = memoryLog();
    const daemon = await Daemon.start({
      listen: '127.0.0.1:0',
      behindProxy: 'gpu.example',
      trustFolder: this.#trustFolder,
      log: notes.log,
      ...options,
    });
    this.#cleanups.push(() => daemon.close());
    const [started] = notes.of('host started');
    const address = String(started?.listens ?? daemon.url);
    return { daemon, notes, port: Number(/:(\d+)(\?|$)/.exec(address)?.[1]) };
  }

  /** A host that speaks TLS itself, with the certificate of the proxies, as one on another machine does. */
  startSecureHost(options: DaemonOptions): Promise<BehindProxy> {
    const folder = this.#temporary.make();
    const tlsFiles = { cert: join(folder, 'certificate.pem'), key: join(folder, 'key.pem') };
    writeFileSync(tlsFiles.cert, this.#pair.cert);
    writeFileSync(tlsFiles.key, this.#pair.key, { mode: 0o600 });
    return this.startHost({ listen: 'grpcs://127.0.0.1:0', behindProxy: undefined, tlsFiles, ...options });
  }

  async startProxy(kind: ProxyKind, setting: Omit<ProxySetting, 'port'>): Promise<RealProxy> {
    const proxy = await RealProxy.start(kind, this.#temporary.make(), this.#pair, setting);
    this.#cleanups.push(() => proxy.close());
    return proxy;
  }

  /** The address of what listens at a port, a proxy or what is in front of it, with a token that all hosts take. */
  urlAt(port: number): string {
    return `grpcs://${this.#token}@${this.strangerAt(port).slice('grpcs://'.length)}`;
  }

  /** The same without a token. */
  strangerAt(port: number): string {
    return `grpcs://127.0.0.1:${port}?ca=${this.#pair.pin}`;
  }

  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.splice(0).reverse()) await cleanup();
    this.#temporary.remove();
  }
}
