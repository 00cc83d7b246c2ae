import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { Command, Option } from 'commander';
import { HostClient } from '../client/transport/host-client.js';
import { packageVersion } from '../link/package-version.js';
import { probeAdapter } from '../link/probe-adapter.js';
import { FarlightError } from '../proto/errors.js';
import { versionMismatch } from '../proto/handshake.js';
import { redact } from '../proto/token.js';
import { negotiate, PROTOCOL } from '../proto/version.js';
import { ADAPTER_HELP } from './adapter-help.js';
import { emulateHost, type LinkChoice, parseLinkChoice } from './emulate.js';
import { prepareFile, tellOfFile } from './output-file.js';

interface RunOptions {
  host?: string;
  adapter?: string;
  compress?: string;
  stats?: boolean;
  trace?: string;
  record?: string;
  emulate?: LinkChoice;
}

const REGISTER = new URL('../client/register.js', import.meta.url);

export function runCommand(): Command {
  return new Command('run')
    .description('Run a program with its WebGPU on a host, or on this machine where none is named.')
    .usage('[options] -- <command> [args...]')
    .argument('<command...>', 'the program and its arguments')
    .option(
      '--host <url>',
      'the address that farlight serve printed (or FARLIGHT_HOST); without it, this machine',
    )
    .option('--adapter <name>', `on this machine: ${ADAPTER_HELP} (or FARLIGHT_ADAPTER)`)
    .option(
      '--emulate <link>',
      'as if the host were that far away: rtt=MS,mbit=MBIT,jitter=MS',
      parseLinkChoice,
    )
    .addOption(
      new Option(
        '--compress <mode>',
        'compress what crosses the network: auto, on or off (or FARLIGHT_COMPRESSION; auto: on a slow line)',
      ).choices(['auto', 'on', 'off']),
    )
    .option('--trace <file>', 'write what happened when, for https://ui.perfetto.dev')
    .option('--record <file>', 'write what crossed the network, for farlight replay')
    .option('--stats', 'print what crossed the network when the program ends')
    .passThroughOptions()
    .action(run);
}

async function run(command: string[], options: RunOptions): Promise<void> {
  const { emulate } = options;
  if (options.trace && options.record) {
    throw new FarlightError('BAD_OPTION', '--trace and --record are for a run each; leave out one of them');
  }
  const host = options.host ?? (process.env.FARLIGHT_HOST || undefined);
  const adapter = options.adapter ?? process.env.FARLIGHT_ADAPTER ?? 'auto';
  if (host !== undefined) {
    if (options.adapter) {
      throw new FarlightError(
        'BAD_OPTION',
        `--adapter is for a GPU of this machine, and the host ${redact(host)} was named; leave out one of them`,
      );
    }
    await checkHost(host);
  } else if (!emulate) {
    await checkAdapter(adapter);
  }
  const trace = options.trace && prepareFile('--trace', options.trace);
  const record = options.record && prepareFile('--record', options.record);
  // Last of what can fail: from here on there is something to end.
  const emulated = emulate && (await emulateHost(emulate, { host, adapter }));
  const files = { ...(trace && { FARLIGHT_TRACE: trace }), ...(record && { FARLIGHT_RECORD: record }) };
  process.exitCode = await execute(command, { ...environment(emulated?.url ?? host, options), ...files });
  await emulated?.close();
  if (trace) tellOfFile(trace, 'open in https://ui.perfetto.dev:');
  if (record) tellOfFile(record, 'run it again with farlight replay');
}

/** A host that cannot serve the program is found out before the program starts. */
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
      throw new FarlightError(
        'NO_ADAPTER',
        `the host ${client.url} has no GPU to offer: ${host.adapterProblem}`,
      );
    }
  } finally {
    client.close();
  }
}

/** Only a name can be wrong; the other choices are left to the program's own executor, for speed. */
async function checkAdapter(adapter: string): Promise<void> {
  if (!['auto', 'software', 'null'].includes(adapter)) await probeAdapter(adapter);
}

function environment(host: string | undefined, options: RunOptions): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  // A file URL has no spaces or quotes in it, so that NODE_OPTIONS needs no quoting.
  environment.NODE_OPTIONS = [environment.NODE_OPTIONS, `--import=${REGISTER.href}`]
    .filter(Boolean)
    .join(' ');
  if (host === undefined) delete environment.FARLIGHT_HOST;
  else environment.FARLIGHT_HOST = host;
  if (options.adapter) environment.FARLIGHT_ADAPTER = options.adapter;
  if (options.compress) environment.FARLIGHT_COMPRESSION = options.compress;
  if (options.stats) environment.FARLIGHT_STATS = '1';
  if (process.stderr.isTTY) environment.FARLIGHT_PROGRESS = '1';
  return environment;
}

/** Runs the program with our stdin, stdout and stderr; resolves to the exit code that a shell would give. */
function execute([file = '', ...args]: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(file, args, { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      // Ctrl-C reaches the program by itself: a terminal sends it to every process of the group.
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    });
  }
  return new Promise((resolve) => {
    child.on('error', (error: NodeJS.ErrnoException) => {
      const notFound = error.code === 'ENOENT';
      const why = notFound ? `command not found: ${file}` : `${file} cannot be run (${error.code})`;
      process.stderr.write(`farlight: ${why}\n`);
      resolve(notFound ? 127 : 126);
    });
    child.on('exit', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : (code ?? 1)));
  });
}
