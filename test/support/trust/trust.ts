import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { pinOf } from '#farlight/link/address/certificate-pin.js';
import { selfSignedCertificate } from '#farlight/server/trust/certificate.js';

export const DAY = 24 * 60 * 60 * 1000;

/** Folders for one test, and what removes them. */
export function folders() {
  const made: string[] = [];
  return {
    make(): string {
      const folder = mkdtempSync(join(tmpdir(), 'farlight-trust-'));
      made.push(folder);
      return folder;
    },
    remove(): void {
      for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Pair {
  key: string;
  cert: string;
  pin: string;
}

export interface PairOptions {
  names?: string[];
  notBefore?: number;
  notAfter?: number;
  role?: 'server' | 'client';
  privateKey?: KeyObject;
}

/** A key and its certificate, valid today unless told otherwise. */
export function makePair(options: PairOptions = {}): Pair {
  const { names = ['127.0.0.1', 'localhost'], role = 'server' } = options;
  const { notBefore = Date.now() - DAY, notAfter = Date.now() + DAY } = options;
  const key = options.privateKey ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const serial = Uint8Array.of(1);
  const cert = selfSignedCertificate({ commonName: 'test', names, key, serial, notBefore, notAfter, role });
  const keyText = key.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { key: keyText, cert, pin: pinOf(new X509Certificate(cert)) };
}

/** Servers on loopback with what they were sent, and what ends them all. */
export function servers() {
  const open: { server: Server; sockets: Set<Socket> }[] = [];
  const start = (server: Server, event: string, greet: (socket: Socket) => void) => {
    const sockets = new Set<Socket>();
    const received: Buffer[] = [];
    server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
    server.on(event, (socket: Socket) => {
      socket.on('error', () => {}).on('data', (bytes) => received.push(bytes));
      greet(socket);
    });
    open.push({ server, sockets });
    return new Promise<{ port: number; received: () => string }>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address() as { port: number };
        resolve({ port, received: () => Buffer.concat(received).toString() });
      });
    });
  };
  return {
    tls: (options: TlsOptions, greet: (socket: Socket) => void = () => {}) =>
      start(createTlsServer(options), 'secureConnection', greet),
    plain: (greet: (socket: Socket) => void = () => {}) => start(createServer(), 'connection', greet),
    async close(): Promise<void> {
      for (const { server, sockets } of open.splice(0)) {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}
