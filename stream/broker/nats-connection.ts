import { readFileSync } from 'node:fs';
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream';
import type { ConnectionOptions, NatsConnection, TlsOptions } from '@nats-io/transport-node';
import { loadInstalled } from '../../link/files/load-installed.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { redact } from '../../proto/token.js';

/** How to reach NATS servers, as a person says it. */
export interface NatsOptions {
  /** `nats://` or `tls://` addresses of one cluster, separated by commas. A user and a password, or a token, may be in them. */
  readonly url: string;
  /** A file with credentials (JWT and NKEY), as `nsc` writes it. */
  readonly credentials?: string | undefined;
  /** Certificates (PEM): whom to trust, and what to show. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** A connection with JetStream. It is made again by itself whenever it is lost. */
export interface Nats {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  readonly manager: JetStreamManager;
  /** The most bytes of a message. */
  readonly mostBytes: number;
  close(): Promise<void>;
}

const PACKAGES = '@nats-io/transport-node @nats-io/jetstream @nats-io/kv @nats-io/obj';
/** How long a server may take to answer, in milliseconds. */
const ANSWER_MS = 2000;
/** How long it may take to connect, in milliseconds. */
const CONNECT_MS = 20_000;

/** @throws FarlightError NOT_INSTALLED, BAD_OPTION, UNREACHABLE (rejects) */
export async function connectNats(options: NatsOptions): Promise<Nats> {
  const { transport, jetstream } = await loadNats();
  const settings = settingsOf(options, transport.credsAuthenticator);
  let connection: NatsConnection;
  try {
    connection = await transport.connect(settings);
  } catch (error) {
    const why = `NATS at ${redact(options.url)} cannot be reached: ${messageOf(error)}`;
    throw new FarlightError('UNREACHABLE', why, { cause: error });
  }
  try {
    const manager = await jetstream.jetstreamManager(connection, { timeout: ANSWER_MS });
    return {
      connection,
      manager,
      jetstream: jetstream.jetstream(connection, { timeout: ANSWER_MS }),
      mostBytes: connection.info?.max_payload ?? 1 << 20,
      close: () => connection.close(),
    };
  } catch (error) {
    await connection.close();
    const why = `NATS at ${redact(options.url)} has no JetStream (${messageOf(error)}): start it with nats-server -js`;
    throw new FarlightError('BAD_OPTION', why, { cause: error });
  }
}

/** The packages of NATS. It is named, since an inferred type cannot be written where node_modules is a link. */
interface NatsPackages {
  readonly transport: typeof import('@nats-io/transport-node');
  readonly jetstream: typeof import('@nats-io/jetstream');
  readonly Kvm: typeof import('@nats-io/kv').Kvm;
  readonly Objm: typeof import('@nats-io/obj').Objm;
}

/** @throws FarlightError NOT_INSTALLED (rejects) */
export function loadNats(): Promise<NatsPackages> {
  const load = async () => {
    const transport = await import('@nats-io/transport-node');
    const jetstream = await import('@nats-io/jetstream');
    const { Kvm } = await import('@nats-io/kv');
    const { Objm } = await import('@nats-io/obj');
    return { transport, jetstream, Kvm, Objm };
  };
  return loadInstalled(load, `NATS needs packages that are not there: run npm install ${PACKAGES}`);
}

/** @throws FarlightError BAD_OPTION */
function settingsOf(
  { url, credentials, ca, cert, key }: NatsOptions,
  authenticator: typeof import('@nats-io/transport-node').credsAuthenticator,
): ConnectionOptions {
  const servers: string[] = [];
  const access: Pick<ConnectionOptions, 'user' | 'pass' | 'token'> = {};
  let isTls = ca !== undefined || cert !== undefined;
  for (const each of url.split(',')) {
    const parsed = URL.canParse(each) ? new URL(each) : undefined;
    if (!parsed || !['nats:', 'tls:'].includes(parsed.protocol) || parsed.hostname === '')
      throw new FarlightError('BAD_OPTION', `${redact(each)} is no address of NATS, as nats://HOST:4222`);
    isTls ||= parsed.protocol === 'tls:';
    servers.push(`${parsed.hostname}:${parsed.port || '4222'}`);
    const [user, pass] = [decodeURIComponent(parsed.username), decodeURIComponent(parsed.password)];
    if (user && pass) Object.assign(access, { user, pass });
    else if (user) access.token = user;
  }
  const tls: TlsOptions = {
    ...(ca !== undefined && { ca: fileOf(ca) }),
    ...(cert !== undefined && { cert: fileOf(cert) }),
    ...(key !== undefined && { key: fileOf(key) }),
  };
  return {
    servers,
    ...access,
    name: 'farlight stream',
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    timeout: CONNECT_MS,
    ...(isTls && { tls }),
    ...(credentials !== undefined && { authenticator: authenticator(Buffer.from(fileOf(credentials))) }),
  };
}

/** @throws FarlightError BAD_OPTION */
function fileOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new FarlightError('BAD_OPTION', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
