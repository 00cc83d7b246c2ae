import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { pinOf } from '../../../link/address/certificate-pin.js';
import { native } from '../../../link/machine/globals.js';
import { alarm } from '../../../link/machine/timer.js';
import type { ClientCertificate } from './client-certificate.js';
import type { HostAddress } from './host-address.js';
import { verifyLocal } from './local-peer.js';
import * as explain from './socket-errors.js';

export interface SocketOptions {
  /** How long each of connecting and securing may take, in milliseconds. Default 5000. */
  timeoutMs?: number | undefined;
  /** What is to be spoken behind TLS (ALPN). Default: farlight. */
  protocols?: readonly string[] | undefined;
  /** The authorities (PEM) that are trusted where the address has no pin. Default: those that Node trusts. */
  authorities?: string | string[] | undefined;
  /** Shown to a host that asks for one. */
  certificate?: ClientCertificate | undefined;
  /** Gives up. */
  signal?: AbortSignal | undefined;
}

const TIMEOUT_MS = 5000;
const PROTOCOLS = ['farlight'];

/**
 * Opens a connection to a host. It resolves only when the peer is verified, in TLS by its key, and in plaintext by the
 * user whose program it is: nothing of the caller's is sent before. The caller owns the socket, and gives it an 'error'
 * listener before it awaits anything else.
 *
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST (rejects); the socket is closed then.
 */
export async function openSocket(address: HostAddress, options: SocketOptions = {}): Promise<Socket> {
  const { scheme, host, port, path } = address;
  options.signal?.throwIfAborted();
  const socket = scheme === 'unix' ? connect({ path }) : connect({ host, port, noDelay: true });
  // What a peer says before it is verified waits in the system, whole for whoever takes the connection over.
  if (scheme !== 'grpcs') socket.pause();
  await happens(socket, 'connect', options, {
    failed: (error) => explain.unreachable(address, error),
    late: (ms) => explain.silent(address, ms),
  });
  if (scheme === 'grpcs') return secure(socket, address, options);
  try {
    await verifyLocal(socket, address);
    options.signal?.throwIfAborted();
  } catch (problem) {
    socket.destroy();
    throw problem;
  }
  // Who has it reads from now on.
  return socket.resume();
}

/**
 * Speaks TLS on a connection, and resolves when the peer is verified.
 *
 * With a pin the certificate's key must be that one; its dates, its names and who signed it then say nothing more, since
 * whoever has the key can write them anew. Without one an authority must have signed it, for the name in the address and
 * for today. What the environment says (NODE_TLS_REJECT_UNAUTHORIZED) turns neither off.
 *
 * @param socket a connection on which nothing was said yet; it is closed where this rejects.
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST (rejects)
 */
export async function secure(
  socket: Socket,
  address: HostAddress,
  options: SocketOptions = {},
): Promise<TLSSocket> {
  const { host, pin } = address;
  const { protocols = PROTOCOLS, certificate, authorities } = options;
  const secured = connectTls({
    socket,
    host,
    // An IP address is no server name (RFC 6066); it is still what the certificate is checked for.
    ...(isIP(host) === 0 && { servername: host }),
    ALPNProtocols: [...protocols],
    minVersion: 'TLSv1.3',
    // With a pin Node cannot judge: a certificate that nobody signed is the usual one. judge() does, below.
    rejectUnauthorized: pin === undefined,
    ...(authorities !== undefined && { ca: authorities }),
    ...(certificate && { cert: certificate.cert, key: certificate.key }),
  });
  await happens(secured, 'secureConnect', options, {
    failed: (error) => explain.notSecured(address, error),
    late: (ms) => explain.notSecuredInTime(address, ms),
  });
  const problem = judge(secured, address, protocols);
  if (!problem) return secured;
  secured.destroy();
  throw problem;
}

/** What is wrong with a peer whose handshake is done, and who therefore has the key of its certificate. */
function judge(secured: TLSSocket, address: HostAddress, protocols: readonly string[]): Error | undefined {
  if (address.pin !== undefined) {
    const certificate = secured.getPeerX509Certificate();
    if (!certificate || pinOf(certificate) !== address.pin) return explain.wrongPin(address);
  } else if (!secured.authorized) {
    return explain.untrusted(address, String(secured.authorizationError));
  }
  const spoken = secured.alpnProtocol;
  return spoken && protocols.includes(spoken) ? undefined : explain.notFarlight(address);
}

/** Waits for what a socket is to do, and closes the socket where it does not. */
function happens(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  { timeoutMs = TIMEOUT_MS, signal }: SocketOptions,
  errors: { failed: (error: NodeJS.ErrnoException) => Error; late: (timeoutMs: number) => Error },
): Promise<void> {
  return new native.Promise((resolve, reject) => {
    const settle = (problem?: unknown) => {
      late.cancel();
      signal?.removeEventListener('abort', abort);
      socket.off(event, done).off('error', fail).off('close', close);
      if (problem === undefined) return resolve();
      // A socket that is given up may still fail, and nobody else listens.
      socket.on('error', () => {});
      socket.destroy();
      reject(problem);
    };
    const done = () => settle();
    const fail = (error: NodeJS.ErrnoException) => settle(errors.failed(error));
    const close = () => fail(Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
    const abort = () => settle(signal?.reason);
    const late = alarm(timeoutMs, () => settle(errors.late(timeoutMs)));
    signal?.addEventListener('abort', abort);
    socket.on(event, done).on('error', fail).on('close', close);
  });
}
