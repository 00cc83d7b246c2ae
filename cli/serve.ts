import { statSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { grpc } from '../link/grpc.js';
import { FarlightError } from '../proto/errors.js';
import { blobRoot } from '../server/blobs/tenants.js';
import type { Daemon } from '../server/daemon/daemon.js';
import { DEFAULT_LISTEN } from '../server/daemon/listen-address.js';
import { DEFAULT_DASHBOARD } from '../server/page/page-server.js';
import { ADAPTER_HELP } from './adapter-help.js';
import { addHostOptions, daemonOptions, type HostOptions } from './host-options.js';

interface ServeOptions extends HostOptions {
  listen: string;
  adapter: string;
  spares: number;
  kept: number;
  blobs: string;
  /** False with --no-dashboard. */
  dashboard: string | false;
  allowOrigin?: string[];
  requireToken?: boolean;
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
    .option('--tls-cert <file>', 'a certificate of yours (PEM); without it the host makes its own')
    .option('--tls-key <file>', 'the private key of that certificate (PEM)')
    .option('--tls-client-ca <file>', 'take only clients with a certificate that one of these signed (PEM)')
    .option('--adapter <name>', ADAPTER_HELP, 'auto')
    .option('--spares <count>', 'how many executor processes to keep warm', parseCount, 1)
    .option(
      '--kept <count>',
      'how many executor processes to keep, with what they compiled, for the next session of their program',
      parseCount,
      4,
    )
    .option(
      '--blobs <folder>',
      'where to keep uploads, so that they need not be sent again; or off',
      blobRoot(),
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
  const { listen, adapter, spares, kept } = options;
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
  const { Daemon } = await import('../server/daemon/daemon.js');
  const { requireToken, tlsCert: cert, tlsKey: key, tlsClientCa: clientCa } = options;
  const trust = { requireToken, tlsFiles: { cert, key, clientCa } };
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
    kept,
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
    if (stopping) return;
    const { name = '', software = false } = daemon.adapter ?? {};
    const adapterLine = `adapter: ${name}${software ? ' (software)' : ''}\n`;
    process.stdout.write(ready(daemon) + adapterLine + dashboardLine(daemon));
  } catch (error) {
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
    throw error;
  }
}

/**
 * What clients are to be told. The host's first token is made here, when the host has started, and shown this once:
 * one line is all that a client needs.
 */
function ready({ url, tokens }: Daemon): string {
  if (!tokens) return `farlight host ready: ${url}\n`;
  if (tokens.list().length > 0) {
    return `farlight host ready: ${url}\ntokens: those you gave out; farlight token add makes another, to stand before the host: grpcs://TOKEN@...\n`;
  }
  const { token } = tokens.add({ note: 'made when the host first started' });
  return `farlight host ready: ${url.replace('://', `://${token}@`)}\ntoken: part of this address, shown this once; keep the address to yourself, and farlight token add for others\n`;
}

function dashboardLine({ dashboard }: Daemon): string {
  if (!dashboard) return '';
  return `dashboard: ${'url' in dashboard ? dashboard.url : `none, since ${dashboard.problem}`}\n`;
}

function parseCount(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw new InvalidArgumentError('Give a whole number from 0 to 99.');
  return Number(text);
}
