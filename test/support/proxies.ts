import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from './free-port.js';
import type { Pair } from './trust.js';

/** A proxy that people have in front of their servers, with the lines of configuration that docs/operations.md shows. */
export interface ProxyKind {
  readonly name: string;
  /** The program, or undefined where it is not installed. */
  readonly program: string | undefined;
  /** Writes the configuration and returns the arguments. `idle` is the proxy's limit on silence, as it spells it. */
  configure(folder: string, at: { port: number; host: number; idle: string }): string[];
}

const found = (name: string) => [`/usr/sbin/${name}`, `/usr/bin/${name}`].find((path) => existsSync(path));

export const NGINX: ProxyKind = {
  name: 'nginx',
  program: found('nginx'),
  configure(folder, { port, host, idle }) {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log;
events {}
http {
  access_log off;
  ${temporary.map((each) => `${each}_temp_path ${folder}/${each};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    ssl_protocols TLSv1.3;
    client_max_body_size 0;
    client_body_timeout ${idle};
    location / {
      grpc_pass grpc://127.0.0.1:${host};
      grpc_read_timeout ${idle};
      grpc_send_timeout ${idle};
    }
  }
}
`,
    );
    return ['-p', folder, '-c', file];
  },
};

export const HAPROXY: ProxyKind = {
  name: 'haproxy',
  program: found('haproxy'),
  configure(folder, { port, host, idle }) {
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(
      file,
      `global
  tune.h2.initial-window-size 16777216
defaults
  mode http
  timeout connect 5s
  timeout client ${idle}
  timeout server ${idle}
frontend farlight
  bind 127.0.0.1:${port} ssl crt ${folder}/both.pem alpn h2 ssl-min-ver TLSv1.3
  default_backend host
backend host
  server host 127.0.0.1:${host} proto h2
`,
    );
    // -W: a master process, which can reload.
    return ['-W', '-f', file];
  },
};

/** A real proxy in front of a host that listens at `host` on loopback. */
export class RealProxy {
  readonly port: number;
  readonly #child: ChildProcess;

  static async start(kind: ProxyKind, folder: string, host: number, pair: Pair, idle = '1h') {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'certificate.pem'), pair.cert);
    writeFileSync(join(folder, 'key.pem'), pair.key, { mode: 0o600 });
    writeFileSync(join(folder, 'both.pem'), `${pair.cert}\n${pair.key}`, { mode: 0o600 });
    const port = await freePort();
    const child = spawn(kind.program ?? '', kind.configure(folder, { port, host, idle }), {
      stdio: 'ignore',
    });
    const proxy = new RealProxy(port, child);
    await proxy.#listening();
    return proxy;
  }

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#child = child;
  }

  /** Has it read its configuration again: old workers end when their connections do, or soon. */
  reload(kind: ProxyKind): void {
    this.#child.kill(kind === HAPROXY ? 'SIGUSR2' : 'SIGHUP');
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }

  async #listening(): Promise<void> {
    for (;;) {
      if (this.#child.exitCode !== null) throw new Error('the proxy ended');
      const socket = connect(this.port, '127.0.0.1');
      const there = await new Promise<boolean>((resolve) => {
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      });
      socket.destroy();
      if (there) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
