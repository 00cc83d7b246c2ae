import { connect, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { pinOf } from '../../../link/address/certificate-pin.js';
import { knowsUsers, ownUser, userAhead } from '../../../link/address/peer-user.js';
import { strangeFile } from '../../../link/address/socket-file.js';
import { native } from '../../../link/machine/globals.js';
import { alarm } from '../../../link/machine/timer.js';
import type { ClientCertificate } from './client-certificate.js';
import type { HostAddress } from './host-address.js';
import * as explain from './socket-errors.js';

export interface VerifyOptions {
  /** How long each of connecting and securing may take, in milliseconds. Default 5000. */
  timeoutMs?: number | undefined;
  /** The authorities (PEM) that are trusted where the address has no pin. Default: those that Node trusts. */
  authorities?: string | string[] | undefined;
  /** Shown to a host that asks for one. */
  certificate?: ClientCertificate | undefined;
  /** Gives up. */
  signal?: AbortSignal | undefined;
}

const TIMEOUT_MS = 5000;
/** What is spoken behind TLS (ALPN). */
const PROTOCOL = 'h2';

/**
 * Connects to the unix socket of a host, of which it is known by its file whose it is. The receiver gives the socket an
 * 'error' listener before it awaits anything else.
 *
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST (rejects); the socket is closed then.
 */
export async function openUnixSocket(address: HostAddress, options: VerifyOptions = {}): Promise<Socket> {
  const socket = connect({ path: address.path });
  await happens(socket, 'connect', options, {
    failed: (error) => explain.unreachable(address, error),
    late: (ms) => explain.silent(address, ms),
  });
  if (address.uid === 'any' || ownUser === undefined) return socket;
  const strange = strangeFile(address.path, (uid) => isTrusted(uid, address));
  if (!strange) return socket;
  socket.destroy();
  throw explain.strangeSocket(address, strange);
}

/** A program of this user, of root, or of the user whom the address names. */
function isTrusted(uid: number, address: HostAddress): boolean {
  return uid === ownUser || uid === 0 || uid === address.uid;
}

/**
 * Sees that a connection in plaintext to a port of this machine, on which nothing was said yet, leads to a trusted user's
 * program. While no host listens at a port, every other user may.
 *
 * @throws FarlightError UNTRUSTED_HOST, or UNREACHABLE where the connection is gone (rejects).
 */
export async function verifyLocal(socket: Socket, address: HostAddress): Promise<void> {
  if (address.uid === 'any' || address.scheme !== 'grpc' || !knowsUsers) return;
  // It may fail meanwhile, and nobody else listens.
  socket.on('error', () => {});
  const uid = await userAhead(socket);
  if (socket.destroyed) throw explain.unreachable(address, closed());
  // What leads a connection out of this network was set up by root, as a container engine's.
  if (uid === 'elsewhere' || (uid !== undefined && isTrusted(uid, address))) return;
  throw explain.otherUser(address, uid);
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
  options: VerifyOptions = {},
): Promise<TLSSocket> {
  const { host, pin } = address;
  const { certificate, authorities } = options;
  const secured = connectTls({
    socket,
    host,
    // An IP address is no server name (RFC 6066); it is still what the certificate is checked for.
    ...(isIP(host) === 0 && { servername: host }),
    ALPNProtocols: [PROTOCOL],
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
  const problem = judge(secured, address);
  if (!problem) return secured;
  secured.destroy();
  throw problem;
}

/** What is wrong with a peer whose handshake is done, and who therefore has the key of its certificate. */
function judge(secured: TLSSocket, address: HostAddress): Error | undefined {
  if (address.pin !== undefined) {
    const certificate = secured.getPeerX509Certificate();
    if (!certificate || pinOf(certificate) !== address.pin) return explain.wrongPin(address);
  } else if (!secured.authorized) {
    return explain.untrusted(address, String(secured.authorizationError));
  }
  return secured.alpnProtocol === PROTOCOL ? undefined : explain.notFarlight(address);
}

/** Waits for what a socket is to do, and closes the socket where it does not. */
function happens(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  { timeoutMs = TIMEOUT_MS, signal }: VerifyOptions,
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
    const close = () => fail(closed());
    const abort = () => settle(signal?.reason);
    const late = alarm(timeoutMs, () => settle(errors.late(timeoutMs)));
    signal?.addEventListener('abort', abort);
    socket.on(event, done).on('error', fail).on('close', close);
    if (signal?.aborted) abort();
  });
}

function closed(): NodeJS.ErrnoException {
  return Object.assign(new Error('closed'), { code: 'ECONNRESET' });
}
