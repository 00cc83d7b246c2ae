import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../machine/free-port.js';
import { listening } from '../machine/processes.js';
import type { Pair } from '../trust/trust.js';

/** A proxy that people have in front of their servers, with the lines of configuration that docs/operations.md shows. */
export interface ProxyKind {
  readonly name: string;
  /** The program, or undefined where it is not installed. */
  readonly program: string | undefined;
  /** Writes the configuration and returns the arguments. */
  configure(folder: string, setting: ProxySetting): string[];
}

export interface ProxySetting {
  /** Where the proxy listens on loopback. */
  port: number;
  /** The ports of the hosts behind it. */
  hosts: readonly number[];
  /** How it chooses among them: by what a client calls its session (default), or one after the other. */
  choice?: 'session' | 'turns' | undefined;
  /** Whether the hosts speak TLS themselves, with the proxy's own certificate. Default: false. */
  secure?: boolean | undefined;
  /** The proxy's limit on silence, as it spells it. Default: an hour. */
  idle?: string | undefined;
}

const found = (name: string) => [`/usr/sbin/${name}`, `/usr/bin/${name}`].find((path) => existsSync(path));

export const NGINX: ProxyKind = {
  name: 'nginx',
  program: found('nginx'),
  configure(folder, { port, hosts, choice = 'session', secure = false, idle = '1h' }) {
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
  upstream hosts {
    ${choice === 'session' ? 'hash $http_farlight_session consistent;' : ''}
    ${hosts.map((host) => `server 127.0.0.1:${host};`).join('\n    ')}
  }
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${folder}/certificate.pem;
    ssl_certificate_key ${folder}/key.pem;
    ssl_protocols TLSv1.3;
    client_max_body_size 0;
    client_body_timeout ${idle};
    location / {
      grpc_pass ${secure ? 'grpcs' : 'grpc'}://hosts;
      grpc_ssl_protocols TLSv1.3;
      grpc_ssl_trusted_certificate ${folder}/certificate.pem;
      grpc_ssl_verify on;
      grpc_ssl_name localhost;
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
  configure(folder, { port, hosts, choice = 'session', secure = false, idle = '1h' }) {
    const verified = `ssl verify required ca-file ${folder}/certificate.pem sni str(localhost) alpn h2`;
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
  default_backend hosts
backend hosts
  ${choice === 'session' ? 'balance hdr(farlight-session)\n  hash-type consistent' : 'balance roundrobin'}
  ${hosts.map((host, index) => `server host${index} 127.0.0.1:${host} ${secure ? verified : 'proto h2'}`).join('\n  ')}
`,
    );
    // -W: a master process, which can reload.
    return ['-W', '-f', file];
  },
};

/** A real proxy in front of hosts on loopback. */
export class RealProxy {
  readonly port: number;
  readonly #child: ChildProcess;

  static async start(kind: ProxyKind, folder: string, pair: Pair, setting: Omit<ProxySetting, 'port'>) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'certificate.pem'), pair.cert);
    writeFileSync(join(folder, 'key.pem'), pair.key, { mode: 0o600 });
    writeFileSync(join(folder, 'both.pem'), `${pair.cert}\n${pair.key}`, { mode: 0o600 });
    const port = await freePort();
    const child = spawn(kind.program ?? '', kind.configure(folder, { port, ...setting }), {
      stdio: 'ignore',
    });
    await listening(child, port);
    return new RealProxy(port, child);
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
}
