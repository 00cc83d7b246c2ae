import { statSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Command } from 'commander';
import { quietGrpc } from '../link/grpc/grpc.js';
import { stateFolder } from '../link/machine/folders.js';
import { DEFAULT_DASHBOARD } from '../page/page-server.js';
import { FarlightError } from '../proto/errors.js';
import { harmless } from '../proto/harmless.js';
import { takeOverOldRoot, tenantsRoot } from '../server/contents/tenant-folders.js';
import type { Daemon } from '../server/daemon.js';
import type { ParkingSettings } from '../server/daemon-options.js';
import { DEFAULT_LISTEN } from '../server/trust/listen-address.js';
import { hostFolder, replaceFile } from '../server/trust/private-folder.js';
import { addHostOptions, daemonOptions, type HostOptions } from './options/host-options.js';
import { ADAPTER_HELP } from './options/option-texts.js';
import { addTrustOptions, type TrustOptions, trustOptions } from './options/trust-options.js';
import { parseSize, parseTime, timeOption, wholeNumber } from './options/units.js';
import { onEndingSignal } from './stop-signal.js';

interface ServeOptions extends HostOptions, TrustOptions {
  listen: string;
  adapter: string;
  spares: number;
  warm: number;
  contents: string;
  /** False with --no-dashboard. */
  dashboard: string | false;
  allowOrigin?: string[];
  peer?: string[];
  park?: number;
  parkKeep: number;
  parkSize?: number;
  moveTo?: string[];
  moveFrom?: string;
}

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('Offer the GPU of this machine to programs on this and other machines.')
    .option(
      '--listen <address>',
      'HOST:PORT (port 0: any free one), with TLS and tokens unless it is on loopback; ' +
        'grpcs://HOST:PORT for TLS and tokens on loopback, too; or unix:/PATH',
      DEFAULT_LISTEN,
    );
  const localUsers =
    'let other users of this machine see the dashboard, and use the host if it asks for no token';
  addTrustOptions(command, 'host', localUsers)
    .option('--adapter <name>', ADAPTER_HELP, 'auto')
    .option(
      '--spares <count>',
      'how many executor processes to keep ready for any program',
      wholeNumber(0, 99),
      1,
    )
    .option(
      '--warm <count>',
      'how many executor processes to keep warm, with their compiled pipelines, for the next session of their program',
      wholeNumber(0, 99),
      4,
    )
    .option(
      '--contents <folder>',
      'the folder that keeps uploads, so that they need not be sent again; or off',
      tenantsRoot(),
    )
    .option(
      '--dashboard <address>',
      "HOST:PORT on loopback for the host's page, its metrics and farlight top",
      DEFAULT_DASHBOARD,
    )
    .option('--no-dashboard', 'serve none')
    .option(
      '--allow-origin <origin>',
      'let pages of this origin (https://app.example) open sessions at the address of the dashboard; may be repeated',
      (text, given: string[] | undefined) => [...(given ?? []), text],
    )
    .option(
      '--peer <address>',
      'let sessions send ranges of buffers to sessions of this host and receive them: its address as it prints it, without a token; may be repeated',
      (text, given: string[] | undefined) => [...(given ?? []), text],
    )
    .option(
      '--park <time>',
      'park a session whose program asks for nothing for so long (60s, 10m): store it, and give back its GPU memory until the program goes on',
      parseTime,
    )
    .addOption(timeOption('--park-keep <time>', 'how long a session may stay parked', 24 * 3600))
    .option(
      '--park-size <size>',
      'disk space of all parked sessions (default: 16GiB, or half of the free space if that is less)',
      parseSize,
    )
    .option(
      '--move-to <address>',
      'a host to which sessions may move, when this host drains or with farlight session move: its address with a token of it; may be repeated',
      (text, given: string[] | undefined) => [...(given ?? []), text],
    )
    .option(
      '--move-from <tenant>',
      'take sessions from other hosts, which show a token of this tenant; where no token is asked for, default means your own hosts',
    )
    .allowExcessArguments(false)
    .action(serve);
  return addHostOptions(command);
}

async function serve(options: ServeOptions): Promise<void> {
  const { listen, adapter, spares, warm } = options;
  const contents = options.contents === 'off' ? undefined : { root: options.contents };
  if (contents && statSync(contents.root, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new FarlightError(
      'BAD_OPTION',
      `--contents ${contents.root} is not a folder; name a folder, or off to keep nothing`,
    );
  }
  if (contents?.root === tenantsRoot()) takeOverOldRoot();
  quietGrpc();
  // Loaded here, so that other commands need not wait for it.
  const { Daemon } = await import('../server/daemon.js');
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
    contents,
    dashboard,
    allowOrigins,
    peers: options.peer,
    parking: parkingSettings(options),
    moveTo: options.moveTo,
    moveFrom: options.moveFrom,
    ...trustOptions(options),
    ...limits,
  });
  let stopping = false;
  let draining = options.drain > 0;
  const failed = (error: unknown) => {
    process.stderr.write(`farlight: the host could not end well: ${inspect(error)}\n`);
    process.exit(1);
  };
  // A start that fails is told below.
  const end = (act: (daemon: Daemon) => Promise<void>) => void starting.then(act, () => {}).catch(failed);
  const stop = () => {
    if (!stopping) {
      stopping = true;
      end((daemon) => daemon.drain(options.drain * 1000));
    } else if (draining) {
      draining = false;
      end((daemon) => daemon.close());
    } else {
      // A second signal: the person does not want to wait until sessions are told.
      process.exit(1);
    }
  };
  const unlisten = onEndingSignal(stop);
  try {
    const daemon = await starting;
    if (!stopping) await announce(daemon);
  } catch (error) {
    // If its owner cannot learn the address, the host does not serve.
    await starting.then(
      (daemon) => daemon.close(),
      () => {},
    );
    unlisten();
    throw error;
  }
}

/** A host that moves sessions parks them first, by itself or not. */
function parkingSettings(options: ServeOptions): ParkingSettings | undefined {
  const { park, parkKeep, parkSize, moveTo, moveFrom } = options;
  if (park === undefined && !moveTo && moveFrom === undefined) return undefined;
  return {
    root: join(stateFolder(), 'parked'),
    idleMs: (park ?? 0) * 1000,
    keepMs: parkKeep * 1000,
    maxBytes: parkSize,
  };
}

/** The file for the first address if no terminal shows it. It is in the folder of the host's tokens. */
const ADDRESS_FILE = 'address';

/**
 * Prints what clients need to know: one line is enough for a client. When the host has started, its first
 * token is made and shown, only this once.
 *
 * @throws FarlightError (rejects) TRUST_UNUSABLE, or BAD_OPTION if stdout cannot be written.
 */
async function announce(daemon: Daemon): Promise<void> {
  const { tokens, adapter } = daemon;
  const first =
    tokens?.tenants().length === 0 ? tokens.add({ note: 'made when the host first started' }) : undefined;
  try {
    const name = harmless(adapter?.name ?? '') + (adapter?.software ? ' (software)' : '');
    await print(`${readyLines(daemon, first?.token)}adapter: ${name}\n${dashboardLine(daemon)}`);
  } catch (error) {
    // Nobody saw this token. While it is valid, the host would not show another.
    if (first) tokens?.revoke(first.entry.id);
    throw error;
  }
}

/**
 * A secret is for the person at a terminal. Other outputs, such as a container's log, may be kept by others.
 */
function readyLines({ url, tokens }: Daemon, token: string | undefined): string {
  const line = (address: string) => `farlight host ready: ${address}\n`;
  if (!tokens) return line(url);
  if (token === undefined) {
    return `${line(url)}tokens: those that you gave out; farlight token add makes another, to write before the host: grpcs://TOKEN@...\n`;
  }
  const address = url.replace('://', `://${token}@`);
  if (process.stdout.isTTY) {
    return `${line(address)}token: part of this address, shown only this once; keep the address to yourself, and run farlight token add for others\n`;
  }
  const folder = hostFolder();
  replaceFile(folder, ADDRESS_FILE, `${address}\n`);
  return `${line(url)}token: part of the address in ${join(folder, ADDRESS_FILE)}, which only this user may read; delete that file when you have the address, and run farlight token add for others\n`;
}

/** Resolves when the text is written. @throws FarlightError BAD_OPTION (rejects) */
function print(text: string): Promise<void> {
  const { stdout } = process;
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException) => {
      const sentence = `the host's address cannot be written to stdout (${cause.code}); redirect it to a place that can be written`;
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
