import { existsSync } from 'node:fs';
import { Command, Option } from 'commander';
import { type RunToken, takeToken } from '../../client/run-tokens.js';
import { HostClient } from '../../client/transport/host/host-client.js';
import { hostsAsked, isPoolAddress, isPortalAddress, poolAddress } from '../../link/address/pool-address.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { FarlightError } from '../../proto/errors.js';
import { versionMismatch } from '../../proto/session/handshake.js';
import { negotiate, PROTOCOL } from '../../proto/session/version.js';
import { redact } from '../../proto/token.js';
import { probeAdapter } from '../../server/probe-adapter.js';
import { ADAPTER_HELP, HOST_HELP } from '../options/option-texts.js';
import { execute, PassedSignals } from './execute.js';
import { checkWritable, RunFolder, tellOfFile } from './run-files.js';
import { emulateHost, hostHere, type LinkChoice, parseLinkChoice, type RunHost } from './run-host.js';
import { type Launch, launchOf } from './runtimes.js';

interface RunOptions {
  host?: string;
  pool?: string;
  adapter?: string;
  compress?: string;
  stats?: boolean;
  trace?: string;
  record?: string;
  emulate?: LinkChoice;
}

const REGISTER = packageProgram('client/register.js');

export function runCommand(): Command {
  return new Command('run')
    .description('Run a program with its WebGPU on a host, or on this machine if no host is named.')
    .usage('[options] -- <command> [args...]')
    .argument('<command...>', 'the program and its arguments')
    .option('--host <url>', HOST_HELP)
    .option(
      '--pool <name>',
      'a host of this pool, started when the program first asks for a GPU: a name, or a file',
    )
    .option('--adapter <name>', `on this machine: ${ADAPTER_HELP} (or FARLIGHT_ADAPTER)`)
    .option(
      '--emulate <link>',
      'make the host seem farther away: rtt=MS,mbit=MBIT,jitter=MS',
      parseLinkChoice,
    )
    .addOption(
      new Option(
        '--compress <mode>',
        'compress frames on the network: auto, on or off (or FARLIGHT_COMPRESSION; auto: on a slow line)',
      ).choices(['auto', 'on', 'off']),
    )
    .option('--trace <file>', 'write a timeline of the session, for https://ui.perfetto.dev')
    .option('--record <file>', 'write all that crosses the network, for farlight replay')
    .option('--stats', 'print calls, waits and bytes when the program ends')
    .passThroughOptions()
    .action(run);
}

async function run(command: string[], options: RunOptions): Promise<void> {
  const { emulate } = options;
  if (options.trace && options.record) {
    throw new FarlightError(
      'BAD_OPTION',
      '--trace and --record cannot be used in one run; leave out one of them',
    );
  }
  if (options.pool !== undefined && options.host !== undefined)
    throw new FarlightError(
      'BAD_OPTION',
      '--pool and --host both name where the GPU is; leave out one of them',
    );
  const pool = options.pool === undefined ? undefined : poolAddress(options.pool);
  const host = pool ?? options.host ?? (process.env.FARLIGHT_HOST || undefined);
  const adapter = options.adapter ?? process.env.FARLIGHT_ADAPTER ?? 'auto';
  if (host !== undefined) {
    if (options.adapter) {
      throw new FarlightError(
        'BAD_OPTION',
        `--adapter is for a GPU of this machine, but the host ${redact(host)} is named; leave out one of them`,
      );
    }
    if (isPoolAddress(host)) await checkPool(host, emulate);
    else await checkHost(host);
  } else if (!emulate) {
    await checkAdapter(adapter);
  }
  const launch = launchOf(command, REGISTER.href);
  if (launch.problem) process.stderr.write(`farlight: ${launch.problem}\n`);
  const trace = options.trace && checkWritable('--trace', options.trace);
  const record = options.record && checkWritable('--record', options.record);
  // From here on there is something to end, however the run ends.
  const signals = new PassedSignals();
  const tokens: RunToken[] = ['unasked', 'unused'];
  if (trace) tokens.push('trace');
  if (record) tokens.push('record');
  const runHost = await startHost(launch, { host, adapter, emulate });
  const folder = RunFolder.make(tokens);
  try {
    const environmentOfRun = {
      ...environment(runHost?.url ?? host, options),
      ...(trace && { FARLIGHT_TRACE: trace }),
      ...(record && { FARLIGHT_RECORD: record }),
      ...(folder && { FARLIGHT_RUN: folder.path }),
    };
    const ended = await execute(launch.command, environmentOfRun, signals);
    process.exitCode = ended.code;
    await runHost?.close();
    if (!ended.hasRun) return;
    if (trace)
      tellOfFile(trace, 'open in https://ui.perfetto.dev:', folder?.isTaken('trace') ?? existsSync(trace));
    if (record)
      tellOfFile(
        record,
        'run it again with farlight replay',
        folder?.isTaken('record') ?? existsSync(record),
      );
    if (folder && ended.byItself) tellOfUse(folder, launch, ended.code);
  } finally {
    folder?.remove();
  }
}

/** Tells the person if the program computed nothing on a GPU of Farlight. */
function tellOfUse(folder: RunFolder, { runtime, command }: Launch, code: number): void {
  // A run inside another run's program: the outer run's program has used the GPU, too.
  for (const token of ['unasked', 'unused'] as const) if (folder.isTaken(token)) takeToken(token);
  // A program of Deno without permission to write takes no tokens.
  if (folder.isTaken('unused') || (runtime === 'Deno' && !mayWrite(command))) return;
  const hasAsked = folder.isTaken('unasked');
  // A program that ended with the error of its request has said more than this line.
  if (hasAsked && code !== 0) return;
  process.stderr.write(`farlight: ${hasAsked ? NO_DEVICE : UNASKED}\n`);
}

const UNASKED =
  'the program used no GPU of Farlight; it gives one to programs of Node, Deno and Bun that ask navigator.gpu, farlight or npm webgpu';

const NO_DEVICE =
  'the program used no GPU of Farlight; it asked for an adapter but for no device, so all that it computed was computed elsewhere';

/**
 * The host that this run starts for itself, if any. A private host is started by the client in the program,
 * which works only in Node.
 */
async function startHost(
  { runtime, problem }: Launch,
  { host, adapter, emulate }: { host: string | undefined; adapter: string; emulate: LinkChoice | undefined },
): Promise<RunHost | undefined> {
  if (emulate) return emulateHost(emulate, { host, adapter });
  if (host !== undefined || runtime === undefined || runtime === 'Node' || problem) return undefined;
  return hostHere(adapter);
}

function mayWrite(command: readonly string[]): boolean {
  return command.some((word) => /^(-A|--allow-all|-W|--allow-write)/.test(word));
}

/** A pool is only read: it is asked for a host when the program asks for a GPU. */
async function checkPool(address: string, emulate: LinkChoice | undefined): Promise<void> {
  if (emulate)
    throw new FarlightError(
      'BAD_OPTION',
      '--emulate needs a host that is there already, and not a pool; leave out one of them',
    );
  const { parsePortalAddress } = await import('../../pool/portal/client/portal-address.js');
  const { pool: named } = hostsAsked(address);
  if (isPortalAddress(named)) return void parsePortalAddress(named);
  const { readPoolOrPortal } = await import('../../pool/definition/pool-file.js');
  const pool = readPoolOrPortal(named);
  if ('portal' in pool) parsePortalAddress(pool.portal);
}

/** Finds out before the program starts that a host cannot serve it. */
async function checkHost(url: string): Promise<void> {
  const client = new HostClient(url);
  try {
    const host = await client.describe();
    const protocol = negotiate(PROTOCOL, { min: host.protocolMin, max: host.protocolMax });
    if (protocol === undefined) {
      const ours = { protocolMin: PROTOCOL.min, protocolMax: PROTOCOL.max, version: packageVersion() };
      throw new FarlightError('VERSION_MISMATCH', versionMismatch(ours, host));
    }
    if (!host.adapter) {
      throw new FarlightError('NO_ADAPTER', `the host ${client.url} has no GPU: ${host.adapterProblem}`);
    }
  } finally {
    client.close();
  }
}

/** Only a name can be wrong. The other choices are left to the program's own executor, for speed. */
async function checkAdapter(adapter: string): Promise<void> {
  if (!['auto', 'software', 'null'].includes(adapter)) await probeAdapter(adapter);
}

function environment(host: string | undefined, options: RunOptions): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  // A file URL contains neither spaces nor quotes, so that it needs no quoting.
  const withOption = (options: string | undefined, more: string) => [options, more].filter(Boolean).join(' ');
  environment.NODE_OPTIONS = withOption(environment.NODE_OPTIONS, `--import=${REGISTER.href}`);
  environment.BUN_OPTIONS = withOption(environment.BUN_OPTIONS, `--preload=${REGISTER.href}`);
  if (host === undefined) delete environment.FARLIGHT_HOST;
  else environment.FARLIGHT_HOST = host;
  if (options.adapter) environment.FARLIGHT_ADAPTER = options.adapter;
  if (options.compress) environment.FARLIGHT_COMPRESSION = options.compress;
  if (options.stats) environment.FARLIGHT_STATS = '1';
  if (process.stderr.isTTY) environment.FARLIGHT_PROGRESS = '1';
  return environment;
}
