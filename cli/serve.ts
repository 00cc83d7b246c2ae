import { Command, InvalidArgumentError } from 'commander';
import { grpc } from '../link/grpc.js';
import { DEFAULT_LISTEN } from '../server/daemon/listen-address.js';
import { ADAPTER_HELP } from './adapter-help.js';

interface ServeOptions {
  listen: string;
  adapter: string;
  spares: number;
  kept: number;
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('Make the GPU of this machine usable from others.')
    .option(
      '--listen <address>',
      'HOST:PORT on loopback (port 0: any free one), or unix:/PATH',
      DEFAULT_LISTEN,
    )
    .option('--adapter <name>', ADAPTER_HELP, 'auto')
    .option('--spares <count>', 'how many executor processes to keep warm', parseCount, 1)
    .option(
      '--kept <count>',
      'how many executor processes to keep, with what they compiled, for the next session of their program',
      parseCount,
      4,
    )
    .allowExcessArguments(false)
    .action(serve);
}

async function serve({ listen, adapter, spares, kept }: ServeOptions): Promise<void> {
  // What gRPC would log is said by our own errors, in words for people.
  if (!process.env.GRPC_VERBOSITY) grpc().setLogVerbosity(grpc().logVerbosity.NONE);
  // Loaded here so that the other commands need not wait for it.
  const { Daemon } = await import('../server/daemon/daemon.js');
  const starting = Daemon.start({ listen, adapter, spares, kept });
  let stopping = false;
  const stop = () => {
    // Somebody who asks twice does not want to wait for the sessions to hear of it.
    if (stopping) process.exit(1);
    stopping = true;
    starting.then((daemon) => daemon.close()).catch(() => {});
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    const daemon = await starting;
    if (stopping) return;
    const { name = '', software = false } = daemon.adapter ?? {};
    process.stdout.write(`farlight host ready: ${daemon.url}\n`);
    process.stdout.write(`adapter: ${name}${software ? ' (software)' : ''}\n`);
  } catch (error) {
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
    throw error;
  }
}

function parseCount(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw new InvalidArgumentError('Give a whole number from 0 to 99.');
  return Number(text);
}
