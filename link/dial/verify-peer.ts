import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { pinOf } from '../address/certificate-pin.js';
import { knowsUsers, ownUser, userAhead } from '../address/peer-user.js';
import { strangeFile } from '../address/socket-file.js';
import { native } from '../machine/globals.js';
import { alarm } from '../machine/timer.js';
import type { ClientCertificate } from './client-certificate.js';
import type { HostAddress } from './host-address.js';
import * as explain from './socket-errors.js';

export interface VerifyOptions {
  /** How long each step may take: to connect, and to set up TLS; in milliseconds. Default 5000. */
  timeoutMs?: number | undefined;
  /** The trusted authorities (PEM) if the address has no pin. Default: Node's. */
  authorities?: string | string[] | undefined;
  /** Shown to a host that asks for a certificate. */
  certificate?: ClientCertificate | undefined;
  /** Gives the connection up. */
  signal?: AbortSignal | undefined;
}

const TIMEOUT_MS = 5000;
/** The protocol inside TLS (ALPN). */
const PROTOCOL = 'h2';

/**
 * Connects to a host's unix socket, whose file shows its owner. Add an 'error' listener to the returned socket before the
 * next `await`.
 *
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST (rejects). Then the socket is closed.
 */
export async function openUnixSocket(address: HostAddress, options: VerifyOptions = {}): Promise<Socket> {
  const socket = connect({ path: address.path });
  await happens(socket, 'connect', options, {
    failed: (error) => explain.unreachable(address, error),
    late: (ms) => explain.silent(address, ms),
  });
  try {
    await verifyLocal(socket, address);
    return socket;
  } catch (problem) {
    socket.destroy();
    throw problem;
  }
}

/** Whether a program of this user may be the host: it is our own user, root, or the user in the address. */
function isTrusted(uid: number, address: HostAddress): boolean {
  return uid === ownUser || uid === 0 || uid === address.uid;
}

/**
 * Verifies that a plaintext connection of this machine leads to a trusted user's program. Any user can listen at a port at
 * which no host listens; a unix socket's file shows its owner. Call it before anything is sent.
 *
 * @throws FarlightError UNTRUSTED_HOST, or UNREACHABLE if the connection is gone (rejects).
 */
export async function verifyLocal(socket: Socket, address: HostAddress): Promise<void> {
  if (address.uid === 'any' || ownUser === undefined) return;
  if (address.scheme === 'unix') {
    const strange = strangeFile(address.path, (uid) => isTrusted(uid, address));
    if (strange) throw explain.strangeSocket(address, strange);
    return;
  }
  if (!knowsUsers) return;
  // The socket may fail meanwhile, and has no other listener.
  socket.on('error', () => {});
  const uid = await userAhead(socket);
  if (socket.destroyed) throw explain.unreachable(address, closed());
  // Only root, for example a container engine, can lead a connection out of this network.
  if (uid === 'elsewhere' || (uid !== undefined && isTrusted(uid, address))) return;
  throw explain.otherUser(address, uid);
}

/**
 * Sets up TLS on a connection, and resolves when the peer is verified.
 *
 * With a pin the certificate must have that key. Its dates, names and signer do not matter then, since the owner of the
 * key can choose them. Without a pin an authority must have signed it, for the name in the address, and it must be valid
 * today. NODE_TLS_REJECT_UNAUTHORIZED turns neither check off.
 *
 * @param socket a connection without any bytes so far. It is closed if this rejects.
 * @throws FarlightError UNREACHABLE, UNTRUSTED_HOST (rejects)
 */
export async function secure(
  socket: Duplex,
  address: HostAddress,
  options: VerifyOptions = {},
): Promise<TLSSocket> {
  const { host, pin } = address;
  const { certificate, authorities } = options;
  const secured = connectTls({
    socket,
    host,
    // An IP address is no server name (RFC 6066). The certificate is still checked for it.
    ...(isIP(host) === 0 && { servername: host }),
    ALPNProtocols: [PROTOCOL],
    minVersion: 'TLSv1.3',
    // Node cannot check a pin, and rejects certificates without an authority. `judge` checks it below.
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

/** The error for a peer that must not be used. The handshake has proved that it has its certificate's key. */
function judge(secured: TLSSocket, address: HostAddress): Error | undefined {
  if (address.pin !== undefined) {
    const certificate = secured.getPeerX509Certificate();
    if (!certificate || pinOf(certificate) !== address.pin) return explain.wrongPin(address);
  } else if (!secured.authorized) {
    return explain.untrusted(address, String(secured.authorizationError));
  }
  return secured.alpnProtocol === PROTOCOL ? undefined : explain.notFarlight(address);
}

/** Waits for a socket's event. Closes the socket if the event does not come. */
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
      // The socket may still fail, and has no other listener.
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
