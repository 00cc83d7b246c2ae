import { Command } from 'commander';
import { DEFAULT_STREAM_DASHBOARD } from '../../stream/page/dashboard.js';
import { logOption } from '../options/log-option.js';
import { ADAPTER_HELP } from '../options/option-texts.js';
import { addTrustOptions } from '../options/trust-options.js';
import { sizeOption, timeOption, wholeNumber } from '../options/units.js';
import { checkStream } from './check.js';
import { addNatsStateOptions } from './nats-options.js';
import type { StreamOptions } from './run-stream.js';
import type { WorkerFlags } from './run-worker.js';
import { rollBack, type UpgradeOptions, upgrade } from './upgrade.js';

const STATE_HELP = 'the folder of its logs and checkpoints (default: beside the file, NAME.state)';
const OTLP_HELP =
  'a collector of OpenTelemetry for spans of records: http://HOST:4318 (or OTEL_EXPORTER_OTLP_ENDPOINT)';

export function streamCommand(): Command {
  const repeated = (text: string, given: string[] | undefined) => [...(given ?? []), text];
  const command = new Command('stream').description(
    'Run a graph of models and functions whose input does not end, and upgrade it while it runs.',
  );
  const runs = command
    .command('run')
    .argument('<file>')
    .description(
      'Run an application. It goes on from its last checkpoint, with the version that is committed.',
    )
    .option('--state <folder>', STATE_HELP)
    .option(
      '--host <url>',
      'an address that farlight serve printed (or FARLIGHT_HOST); may be repeated; without it, this machine',
      repeated,
    )
    .option('--adapter <name>', `on this machine: ${ADAPTER_HELP} (or FARLIGHT_ADAPTER)`)
    .option('--lanes <count>', 'how many models run at a time on each host', wholeNumber(1, 99), 2)
    .addOption(timeOption('--checkpoint <time>', 'the time between checkpoints (10s, 1m)', 10))
    .option(
      '--no-durable',
      'do not wait for the disk: records and outputs survive the process, but no power cut',
    )
    .option(
      '--listen <address>',
      'HOST:PORT for records, status and metrics over HTTP (port 0: any free one), with TLS and tokens unless it is on loopback; or off',
      '127.0.0.1:8010',
    )
    .option(
      '--dashboard <address>',
      "HOST:PORT on loopback for the application's page, its metrics and farlight top",
      DEFAULT_STREAM_DASHBOARD,
    )
    .option('--no-dashboard', 'serve none')
    .option('--otlp <url>', OTLP_HELP)
    .addOption(sizeOption('--max-request <size>', 'the longest request', 16 << 20))
    .option(
      '--workers',
      'share the work with workers of other machines (farlight stream worker); the state is then at the server of --nats',
    )
    .option(
      '--partitions <count>',
      'of a new application with workers: into how many parts its keys are divided, for good',
      wholeNumber(1, 1024),
      16,
    )
    .option('--no-work', 'with --workers: leave the work to others');
  addNatsStateOptions(runs);
  addTrustOptions(
    runs,
    'server',
    'let other users of this machine see the dashboard, and post records if no token is asked for',
  )
    .addOption(logOption())
    .allowExcessArguments(false)
    .action(run);
  const works = command
    .command('worker')
    .argument('<application>')
    .description('Work for an application that runs with --workers on another machine.')
    .option('--state <folder>', 'the folder for functions and models (default: NAME.worker, here)')
    .option(
      '--host <url>',
      'an address that farlight serve printed (or FARLIGHT_HOST); may be repeated; without it, this machine',
      repeated,
    )
    .option('--adapter <name>', `on this machine: ${ADAPTER_HELP} (or FARLIGHT_ADAPTER)`)
    .option('--lanes <count>', 'how many models run at a time on each host', wholeNumber(1, 99), 2)
    .addOption(timeOption('--checkpoint <time>', 'the time between checkpoints (10s, 1m)', 10))
    .option('--otlp <url>', OTLP_HELP);
  addNatsStateOptions(works)
    .addOption(logOption())
    .allowExcessArguments(false)
    .action(async (application: string, options: WorkerFlags) => {
      const { runWorker } = await import('./run-worker.js');
      await runWorker(application, options);
    });
  command
    .command('upgrade')
    .argument('<file>')
    .description('Upgrade the running application to its changed file, while it goes on.')
    .option('--state <folder>', STATE_HELP)
    .option('--plan', 'show what would change, and change nothing')
    .option('--reset <uid>', 'a step whose states begin anew; may be repeated', repeated)
    .option(
      '--drop <name>',
      'a removed step or source whose states or waiting records may go; may be repeated',
      repeated,
    )
    .option('--json', 'print the plan as JSON')
    .allowExcessArguments(false)
    .action((file: string, options: UpgradeOptions) => upgrade(file, options));
  command
    .command('rollback')
    .argument('<file>')
    .description('Go back to the version before the running one, by an upgrade.')
    .option('--state <folder>', STATE_HELP)
    .option('--plan', 'show what would change, and change nothing')
    .option('--reset <uid>', 'a step whose states begin anew; may be repeated', repeated)
    .option(
      '--drop <name>',
      'a removed step or source whose states or waiting records may go; may be repeated',
      repeated,
    )
    .option('--json', 'print the plan as JSON')
    .allowExcessArguments(false)
    .action((file: string, options: UpgradeOptions) => rollBack(file, options));
  command
    .command('status')
    .argument('<file>')
    .description('Show records, steps and outputs of the application that runs.')
    .option('--state <folder>', STATE_HELP)
    .option('--json', 'print it as JSON')
    .allowExcessArguments(false)
    .action(status);
  command
    .command('check')
    .argument('<file>')
    .description('List the problems of an application, by file, line and column.')
    .option('--json', 'print the findings as JSON')
    .allowExcessArguments(false)
    .action(checkStream);
  return command;
}

/** Loads the application for this command alone: other commands need not wait for it. */
async function run(file: string, options: StreamOptions): Promise<void> {
  const { runStream } = await import('./run-stream.js');
  await runStream(file, options);
}

async function status(file: string, options: { state?: string; json?: boolean }): Promise<void> {
  const { showStatus } = await import('./status.js');
  await showStatus(file, options);
}
