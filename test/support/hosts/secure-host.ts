import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { grpcLine, RawClient } from '../clients/raw-client.js';
import { FAKE_EXECUTOR } from '../repository.js';
import { folders } from '../trust/trust.js';

/** Hosts on loopback with TLS and tokens of their own, and what ends them. */
export function secureHosts() {
  const temporary = folders();
  const daemons: Daemon[] = [];
  return {
    folder: () => temporary.make(),
    async start(options: DaemonOptions = {}) {
      const trustFolder = options.trustFolder ?? temporary.make();
      const daemon = await Daemon.start({
        listen: 'grpcs://127.0.0.1:0',
        executorEntry: FAKE_EXECUTOR,
        ...options,
        trustFolder,
      });
      daemons.push(daemon);
      const tokens = new TokenStore(join(trustFolder, 'tokens'));
      const urlOf = (token: string) => daemon.url.replace('://', `://${token}@`);
      return {
        daemon,
        tokens,
        trustFolder,
        port: Number(new URL(daemon.url).port),
        /** The address as a person has it whom a token was given. */
        urlOf,
        /** A new token, and the address with it. */
        invite(tenant?: string) {
          const { token, entry } = tokens.add({ tenant });
          return { token, id: entry.id, url: urlOf(token) };
        },
      };
    },
    async close(): Promise<void> {
      await Promise.all(daemons.splice(0).map((daemon) => daemon.close()));
      temporary.remove();
    },
  };
}

/** A TLS connection that asks nothing of its peer. */
export function secureLine(port: number, ALPNProtocols = ['farlight']): TLSSocket {
  return connect({ host: '127.0.0.1', port, ALPNProtocols, rejectUnauthorized: false });
}

/** A client that says whatever a test wants, over gRPC; its token is the one in the address. */
export const secureRaw = (url: string) => new RawClient(grpcLine(url));
