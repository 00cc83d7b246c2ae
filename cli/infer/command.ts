import { Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_GRPC, DEFAULT_HTTP } from '../../infer/door/trust.js';
import { LOG_LEVELS } from '../../server/observatory/log.js';
import { ADAPTER_HELP } from '../options/option-texts.js';
import { parseSeconds, parseSize } from '../options/units.js';
import { checkCommand } from './check.js';
import type { InferOptions } from './serve-models.js';

export function inferCommand(): Command {
  const repeated = (text: string, given: string[] | undefined) => [...(given ?? []), text];
  return new Command('infer')
    .description('Serve a folder of models and graphs for inference, over HTTP and gRPC.')
    .option('--models <folder>', 'the folder: NAME/VERSION/model.onnx, NAME/graph.yaml')
    .option(
      '--host <url>',
      'an address that farlight serve printed (or FARLIGHT_HOST); may be repeated; without it, this machine',
      repeated,
    )
    .option('--adapter <name>', `on this machine: ${ADAPTER_HELP} (or FARLIGHT_ADAPTER)`)
    .option('--lanes <count>', 'how many models run at a time on each host', parseLanes, 2)
    .option('--gpu-memory <size>', "the most of each host's GPU memory to use (default: all)", parseSize)
    .option(
      '--listen <address>',
      'HOST:PORT for HTTP (port 0: any free one), with TLS and tokens unless it is on loopback',
      DEFAULT_HTTP,
    )
    .option('--grpc <address>', 'HOST:PORT for gRPC, or off', DEFAULT_GRPC)
    .option('--require-token', 'use TLS and ask for a token on loopback, too')
    .option('--allow-local-users', 'let other users of this machine use the server, if it asks for no token')
    .option(
      '--behind-proxy <address>',
      'HOST:PORT of a proxy in front of this server, which ends TLS: the server then asks for tokens in plaintext',
    )
    .option('--tls-cert <file>', 'your own certificate (PEM); without it the server makes one')
    .option('--tls-key <file>', 'the private key of that certificate (PEM)')
    .option(
      '--tls-client-ca <file>',
      'accept only clients with a certificate that one of these has signed (PEM)',
    )
    .option(
      '--may-load <tenant>',
      'a tenant that may load and unload models, and so run functions of graphs; may be repeated (default: you, where no token is asked for)',
      repeated,
    )
    .option('--max-request <size>', 'the longest request', parseSize, 64 << 20)
    .option('--triton-metrics', "give the figures by the names that Triton's dashboards read, too")
    .option('--server-name <name>', 'the name that the server gives for itself', 'farlight')
    .option(
      '--run-limit <seconds>',
      'how long one run of a model may take until its lane is started anew',
      parseSeconds,
      120,
    )
    .option('--drain <seconds>', 'on SIGTERM, how long requests may go on', parseSeconds, 30)
    .addOption(
      new Option(
        '--log-level <level>',
        'the lowest level that is logged, as JSON lines on stderr (default: info, or warn on a terminal)',
      ).choices(LOG_LEVELS),
    )
    .allowExcessArguments(false)
    .action(serve)
    .addCommand(checkCommand());
}

/** Loads the server for this alone: other commands need not wait for it. */
async function serve(options: InferOptions): Promise<void> {
  const { serveModels } = await import('./serve-models.js');
  await serveModels(options);
}

function parseLanes(text: string): number {
  if (!/^[1-9]\d?$/.test(text)) throw new InvalidArgumentError('Give a whole number from 1 to 99.');
  return Number(text);
}
