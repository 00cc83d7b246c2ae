import { Command } from 'commander';
import { DEFAULT_GRPC, DEFAULT_HTTP } from '../../infer/door/trust.js';
import { DEFAULT_INFER_DASHBOARD } from '../../infer/page/dashboard.js';
import { addLimitOptions, INFERENCE_LIMITS, parseBytes } from '../options/limit-options.js';
import { logOption } from '../options/log-option.js';
import { ADAPTER_HELP } from '../options/option-texts.js';
import { addTrustOptions } from '../options/trust-options.js';
import { sizeOption, timeOption, wholeNumber } from '../options/units.js';
import { checkCommand } from './check.js';
import type { InferOptions } from './serve-models.js';

export function inferCommand(): Command {
  const repeated = (text: string, given: string[] | undefined) => [...(given ?? []), text];
  const command = new Command('infer')
    .description('Serve a folder of models and graphs for inference, over HTTP and gRPC.')
    .option('--models <folder>', 'the folder: NAME/VERSION/model.onnx, NAME/graph.yaml')
    .option(
      '--host <url>',
      'an address that farlight serve printed (or FARLIGHT_HOST); may be repeated; without it, this machine',
      repeated,
    )
    .option('--adapter <name>', `on this machine: ${ADAPTER_HELP} (or FARLIGHT_ADAPTER)`)
    .option('--lanes <count>', 'how many models run at a time on each host', wholeNumber(1, 99), 2)
    .option('--gpu-memory <size>', "the most of each host's GPU memory to use (default: all)", parseBytes)
    .option(
      '--listen <address>',
      'HOST:PORT for HTTP (port 0: any free one), with TLS and tokens unless it is on loopback',
      DEFAULT_HTTP,
    )
    .option('--grpc <address>', 'HOST:PORT for gRPC, or off', DEFAULT_GRPC);
  const localUsers =
    'let other users of this machine see the dashboard, and use the server if it asks for no token';
  addTrustOptions(command, 'server', localUsers);
  return addLimitOptions(command, 'limit of each tenant: ', { names: INFERENCE_LIMITS })
    .option(
      '--may-load <tenant>',
      'a tenant that may load and unload models, and so run functions of graphs; may be repeated (default: you, where no token is asked for)',
      repeated,
    )
    .option(
      '--dashboard <address>',
      "HOST:PORT on loopback for the server's page, its metrics and farlight top",
      DEFAULT_INFER_DASHBOARD,
    )
    .option('--no-dashboard', 'serve none')
    .addOption(sizeOption('--max-request <size>', 'the longest request', 64 << 20))
    .option(
      '--otlp <url>',
      'a collector of OpenTelemetry for spans of requests: http://HOST:4318 (or OTEL_EXPORTER_OTLP_ENDPOINT)',
    )
    .option('--triton-metrics', "give the figures by the names that Triton's dashboards read, too")
    .option('--server-name <name>', 'the name that the server gives for itself', 'farlight')
    .addOption(
      timeOption(
        '--run-limit <time>',
        'how long one run of a model may take until its lane is started anew (90s, 10m)',
        120,
      ),
    )
    .addOption(timeOption('--drain <time>', 'on SIGTERM, how long requests may go on (60s, 10m)', 30))
    .addOption(logOption())
    .allowExcessArguments(false)
    .action(serve)
    .addCommand(checkCommand());
}

/** Loads the server for this alone: other commands need not wait for it. */
async function serve(options: InferOptions): Promise<void> {
  const { serveModels } = await import('./serve-models.js');
  await serveModels(options);
}
