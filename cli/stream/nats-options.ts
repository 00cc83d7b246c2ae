import type { Command } from 'commander';
import { FarlightError } from '../../proto/errors.js';
import { connectNats, type Nats } from '../../stream/broker/nats-connection.js';

export interface NatsFlags {
  nats?: string;
  natsCredentials?: string;
  natsCa?: string;
  natsCert?: string;
  natsKey?: string;
}

/** Of workers, which keep their state at the server. */
export interface NatsStateFlags extends NatsFlags {
  natsReplicas: number;
}

export function addNatsOptions(command: Command): Command {
  return command
    .option(
      '--nats <url>',
      'a server of NATS with JetStream, as nats://HOST:4222 or tls://HOST:4222 (or FARLIGHT_NATS)',
    )
    .option('--nats-credentials <file>', 'credentials for NATS, as nsc writes them')
    .option('--nats-ca <file>', 'trust a server of NATS whose certificate these have signed (PEM)')
    .option('--nats-cert <file>', 'a client certificate for NATS (PEM)')
    .option('--nats-key <file>', 'the private key of that certificate (PEM)');
}

export function addNatsStateOptions(command: Command): Command {
  return addNatsOptions(command).option(
    '--nats-replicas <count>',
    'of a cluster of NATS: how many servers keep each record, output and checkpoint',
    Number,
    1,
  );
}

/** One connection to NATS, made when it is needed first. */
export class NatsAccess {
  readonly #flags: NatsFlags;
  #nats: Promise<Nats> | undefined;

  constructor(flags: NatsFlags) {
    this.#flags = flags;
  }

  /** @throws FarlightError BAD_OPTION, NOT_INSTALLED, UNREACHABLE (rejects) */
  open(): Promise<Nats> {
    this.#nats ??= this.#connect();
    return this.#nats;
  }

  async close(): Promise<void> {
    // `open` has reported the error.
    const nats = await this.#nats?.catch(() => undefined);
    await nats?.close();
  }

  async #connect(): Promise<Nats> {
    const { nats: url = process.env.FARLIGHT_NATS, natsCredentials, natsCa, natsCert, natsKey } = this.#flags;
    if (!url) throw new FarlightError('BAD_OPTION', 'name a server of NATS with --nats nats://HOST:4222');
    return connectNats({ url, credentials: natsCredentials, ca: natsCa, cert: natsCert, key: natsKey });
  }
}
