import type { Command } from 'commander';
import { FarlightError } from '../../proto/errors.js';
import { connectNats, type Nats } from '../../stream/broker/nats-connection.js';
import { wholeNumber } from '../options/units.js';
import { stopped } from '../stop-signal.js';

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
    wholeNumber(1, 5),
    1,
  );
}

/** One connection to NATS, made when it is needed first. */
export class NatsAccess {
  readonly #flags: NatsFlags;
  readonly #stop: AbortSignal;
  #nats: Promise<Nats> | undefined;
  #opened: Promise<Nats> | undefined;
  #isOpen = false;

  /** @param stop ends the wait for a server that does not answer. */
  constructor(flags: NatsFlags, stop: AbortSignal) {
    this.#flags = flags;
    this.#stop = stop;
  }

  /** @throws FarlightError BAD_OPTION, NOT_INSTALLED, UNREACHABLE, SHUTTING_DOWN (rejects) */
  open(): Promise<Nats> {
    this.#nats ??= this.#connect();
    this.#opened ??= Promise.race([this.#nats, stopped(this.#stop).then(tellOfEnd)]);
    return this.#opened;
  }

  async close(): Promise<void> {
    // `open` has reported the error. A connection that comes after the end is closed then, and not waited for.
    const closed = this.#nats?.then(
      (nats) => nats.close(),
      () => {},
    );
    if (this.#isOpen) await closed;
  }

  async #connect(): Promise<Nats> {
    const { nats: url = process.env.FARLIGHT_NATS, natsCredentials, natsCa, natsCert, natsKey } = this.#flags;
    if (!url) throw new FarlightError('BAD_OPTION', 'name a server of NATS with --nats nats://HOST:4222');
    const files = { credentials: natsCredentials, ca: natsCa, cert: natsCert, key: natsKey };
    const nats = await connectNats({ url, ...files });
    this.#isOpen = true;
    return nats;
  }
}

function tellOfEnd(): never {
  throw new FarlightError('SHUTTING_DOWN', 'the command was ended while it connected to NATS');
}
