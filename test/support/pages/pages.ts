import { createReadStream } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { Daemon } from '#farlight/server/daemon.js';
import { REPOSITORY } from '../repository.js';

/** The module that pages load, as it is published. */
export const BUNDLE: string = fileURLToPath(import.meta.resolve('farlight/browser'));

/** A site on loopback with an empty page, the client for pages, and the programs of test/browser/programs. */
export class Site {
  readonly #server: Server;

  static async start(): Promise<Site> {
    const site = new Site();
    await new Promise<void>((resolve) => site.#server.listen(0, '127.0.0.1', resolve));
    return site;
  }

  private constructor() {
    this.#server = createServer(({ url = '' }, response) => {
      const [, program] = /^\/programs\/([\w-]+\.mjs)$/.exec(url) ?? [];
      const file = program ? `${REPOSITORY}test/browser/programs/${program}` : BUNDLE;
      if (url === '/') {
        response.setHeader('content-type', 'text/html');
        response.end('<!doctype html><title>test</title>');
      } else if (program || url === '/farlight.js') {
        response.setHeader('content-type', 'text/javascript');
        createReadStream(file).pipe(response);
      } else {
        response.writeHead(404).end();
      }
    });
  }

  /** Its origin. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** Where pages reach a host. */
export function webAddress({ dashboard }: Daemon): string {
  if (!dashboard || !('url' in dashboard)) throw new Error('the host has no dashboard');
  return dashboard.url.replace('http:', 'ws:');
}

/** Runs a program of test/browser/programs in a page; resolves to what its default export does. */
export function runInPage<T>(page: Page, program: string, ...args: unknown[]): Promise<T> {
  const given = args.map((arg) => JSON.stringify(arg)).join(', ');
  return page.evaluate(`import('/programs/${program}.mjs').then((program) => program.default(${given}))`);
}

/** What a person puts in front of a host that pages reach from elsewhere: it ends TLS, and passes the rest on. */
export async function tlsProxy(port: number, pair: { key: string; cert: string }) {
  const open = new Set<Socket>();
  const server = createTlsServer(pair, (outer) => {
    const inner = connect(port, '127.0.0.1');
    for (const socket of [outer, inner]) {
      open.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          open.delete(socket);
          outer.destroy();
          inner.destroy();
        });
    }
    outer.pipe(inner).pipe(outer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close(): Promise<void> {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
