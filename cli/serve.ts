import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { grpc } from '../link/grpc/grpc.js';
import { FarlightError } from '../proto/errors.js';
import { harmless } from '../proto/harmless.js';
import { tenantsRoot } from '../server/contents/tenant-folders.js';
import { DEFAULT_LISTEN } from '../server/daemon/door/listen-address.js';
import type { Daemon } from '../server/daemon.js';
import { DEFAULT_DASHBOARD } from '../server/page/page-server.js';
import { hostFolder, replaceFile } from '../server/trust/private-folder.js';
import { addHostOptions, daemonOptions, type HostOptions } from './options/host-options.js';
import { ADAPTER_HELP } from './options/option-texts.js';

interface ServeOptions extends HostOptions {
  listen: string;
  adapter: string;
  spares: number;
  warm: number;
  blobs: string;
  /** False with --no-dashboard. */
  dashboard: string | false;
  allowOrigin?: string[];
  requireToken?: boolean;
  allowLocalUsers?: boolean;
  behindProxy?: string;
  tlsCert?: string;
  tlsKey?: string;
  tlsClientCa?: string;
}

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('Make the GPU of this machine usable from others.')
    .option(
      '--listen <address>',
      'HOST:PORT (port 0: any free one), with TLS and tokens where it is not on loopback; ' +
        'grpcs://HOST:PORT for those on loopback too; or unix:/PATH',
      DEFAULT_LISTEN,
    )
    .option('--require-token', 'speak TLS and ask for a token on loopback too')
    .option(
      '--allow-local-users',
      'let other users of this machine see the dashboard, and use the host where it asks for no token',
    )
    .option(
      '--behind-proxy <address>',
      'HOST:PORT where clients reach a proxy that ends TLS in front of this host, which asks for tokens in plaintext then',
    )
    .option('--tls-cert <file>', 'a certificate of yours (PEM); without it the host makes its own')
    .option('--tls-key <file>', 'the private key of that certificate (PEM)')
    .option('--tls-client-ca <file>', 'take only clients with a certificate that one of these signed (PEM)')
    .option('--adapter <name>', ADAPTER_HELP, 'auto')
    .option('--spares <count>', 'how many executor processes to keep ready for any program', parseCount, 1)
    .option(
      '--warm <count>',
      'how many executor processes to keep warm, with what they compiled, for the next session of their program',
      parseCount,
      4,
    )
    .option(
      '--blobs <folder>',
      'where to keep uploads, so that they need not be sent again; or off',
      tenantsRoot(),
    )
    .option(
      '--dashboard <address>',
      'HOST:PORT on loopback for the page, metrics and farlight top that show what the host does',
      DEFAULT_DASHBOARD,
    )
    .option('--no-dashboard', 'serve none')
    .option(
      '--allow-origin <origin>',
      'let pages from there (https://app.example) open sessions at the address of the dashboard; may be given again',
      (text, given: string[] | undefined) => [...(given ?? []), text],
    )
    .allowExcessArguments(false)
    .action(serve);
  return addHostOptions(command);
}

async function serve(options: ServeOptions): Promise<void> {
  const { listen, adapter, spares, warm } = options;
  const blobs = options.blobs === 'off' ? undefined : { root: options.blobs };
  if (blobs && statSync(blobs.root, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new FarlightError(
      'BAD_OPTION',
      `--blobs ${blobs.root} is no folder; name one, or off to keep nothing`,
    );
  }
  // What gRPC would log is said by our own errors, in words for people.
  if (!process.env.GRPC_VERBOSITY) grpc().setLogVerbosity(grpc().logVerbosity.NONE);
  // Loaded here so that the other commands need not wait for it.
  const { Daemon } = await import('../server/daemon.js');
  const {
    requireToken,
    allowLocalUsers,
    behindProxy,
    tlsCert: cert,
    tlsKey: key,
    tlsClientCa: clientCa,
  } = options;
  const trust = { requireToken, allowLocalUsers, behindProxy, tlsFiles: { cert, key, clientCa } };
  const limits = await daemonOptions(options);
  const dashboard = options.dashboard || undefined;
  const allowOrigins = options.allowOrigin;
  if (allowOrigins && !dashboard) {
    throw new FarlightError(
      'BAD_OPTION',
      '--allow-origin is for pages, which connect at the address of the dashboard; leave --no-dashboard out',
    );
  }
  const starting = Daemon.start({
    listen,
    adapter,
    spares,
    warm,
    blobs,
    dashboard,
    allowOrigins,
    ...trust,
    ...limits,
  });
  let stopping = false;
  let draining = options.drain > 0;
  const stop = () => {
    if (!stopping) {
      stopping = true;
      starting.then((daemon) => daemon.drain(options.drain * 1000)).catch(() => {});
    } else if (draining) {
      draining = false;
      starting.then((daemon) => daemon.close()).catch(() => {});
    } else {
      // Somebody who asks once more does not want to wait for the sessions to hear of it.
      process.exit(1);
    }
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    const daemon = await starting;
    if (!stopping) await announce(daemon);
  } catch (error) {
    // A host whose owner does not hear of it does not serve.
    await starting.then(
      (daemon) => daemon.close(),
      () => {},
    );
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
    throw error;
  }
}

/** Where the first address is written that no terminal shows, in the folder of the host's tokens. */
const ADDRESS_FILE = 'address';

/**
 * Says what clients are to be told: one line is all that a client needs. The host's first token is made here, when the
 * host has started, and shown this once.
 *
 * @throws FarlightError TRUST_UNUSABLE, or BAD_OPTION where stdout takes nothing (rejects).
 */
async function announce(daemon: Daemon): Promise<void> {
  const { tokens, adapter } = daemon;
  const first =
    tokens?.tenants().length === 0 ? tokens.add({ note: 'made when the host first started' }) : undefined;
  try {
    const name = harmless(adapter?.name ?? '') + (adapter?.software ? ' (software)' : '');
    await print(`${readyLines(daemon, first?.token)}adapter: ${name}\n${dashboardLine(daemon)}`);
  } catch (error) {
    // Nobody has heard of it, and while it counts no other is shown.
    if (first) tokens?.revoke(first.entry.id);
    throw error;
  }
}

/** A secret is for the person at a terminal. What goes elsewhere, to a container's log for one, others may keep. */
function readyLines({ url, tokens }: Daemon, token: string | undefined): string {
  const line = (address: string) => `farlight host ready: ${address}\n`;
  if (!tokens) return line(url);
  if (token === undefined) {
    return `${line(url)}tokens: those you gave out; farlight token add makes another, to stand before the host: grpcs://TOKEN@...\n`;
  }
  const address = url.replace('://', `://${token}@`);
  if (process.stdout.isTTY) {
    return `${line(address)}token: part of this address, shown this once; keep the address to yourself, and farlight token add for others\n`;
  }
  const folder = hostFolder();
  replaceFile(folder, ADDRESS_FILE, `${address}\n`);
  return `${line(url)}token: part of the address in ${join(folder, ADDRESS_FILE)}, which this user alone may read; delete that file when you have it, and farlight token add for others\n`;
}

/** Resolves when it is written. @throws FarlightError BAD_OPTION (rejects) */
function print(text: string): Promise<void> {
  const { stdout } = process;
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException) => {
      const sentence = `the host's address cannot be written to stdout (${cause.code}); send that where it can be`;
      reject(new FarlightError('BAD_OPTION', sentence, { cause }));
    };
    stdout.once('error', failed);
    stdout.write(text, (error) => {
      if (error) return;
      stdout.off('error', failed);
      resolve();
    });
  });
}

function dashboardLine({ dashboard }: Daemon): string {
  if (!dashboard) return '';
  return `dashboard: ${'url' in dashboard ? dashboard.url : `none, since ${dashboard.problem}`}\n`;
}

function parseCount(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw new InvalidArgumentError('Give a whole number from 0 to 99.');
  return Number(text);
}
