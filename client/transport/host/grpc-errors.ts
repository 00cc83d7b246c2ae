import { connect as connectTls } from 'node:tls';
import type { ServiceError, status } from '@grpc/grpc-js';
import { grpc } from '../../../link/grpc/grpc.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { native } from '../../../link/machine/globals.js';
import { FarlightError } from '../../../proto/errors.js';
import type { HostAddress } from './host-address.js';
import { hungUp, noHost, speaksTls, unreachable } from './socket-errors.js';

/** What gRPC says of a server that answers in another protocol, or in HTTP/2 without gRPC. */
const NOT_GRPC = /Protocol error|Parse Error|HTTP|without gRPC status/i;

/** What gRPC says where the peer closed the connection before it answered. */
const HUNG_UP = /ECONNRESET|Connection dropped|Failed to connect\b|GOAWAY|Stream refused|Call cancelled/i;

/** What gRPC says of an answer of HTTP alone, as a proxy gives it. */
const HTTP_STATUS = /HTTP status code (\d+)/;
/** The statuses (RFC 9110) with which a proxy says that its server is not to be had now. */
const AWAY = [429, 502, 503, 504];
const REFUSED = [401, 403];

const UNKNOWN_NAME = /^Name resolution failed/;

/** Whether the peer closed the connection before it answered. */
export function hasHungUp({ details }: Pick<ServiceError, 'details'>): boolean {
  return HUNG_UP.test(details);
}

/** Why a call to a host failed, as gRPC says it. */
export async function explainStatus(
  address: HostAddress,
  { code, details }: Pick<ServiceError, 'code' | 'details'>,
): Promise<FarlightError> {
  const http = Number(HTTP_STATUS.exec(details)?.[1]);
  if (http) return explainProxy(address, http);
  if (UNKNOWN_NAME.test(details))
    return unreachable(address, Object.assign(new Error(details), { code: 'ENOTFOUND' }));
  if (code === grpc().status.UNAUTHENTICATED) return new FarlightError('UNAUTHORIZED', details);
  if (hasHungUp({ details })) return explainHangUp(address);
  return noHost(address, isForeign(code, details) ? undefined : reasonOf(details));
}

function reasonOf(details: string): string {
  return /\b(E[A-Z]{4,})\b/.exec(details)?.[1] ?? details;
}

/** Whether what answered is some other server: it lacks the service, or what it says is not gRPC. */
function isForeign(code: status, details: string): boolean {
  const { UNIMPLEMENTED, RESOURCE_EXHAUSTED, INTERNAL } = grpc().status;
  return [UNIMPLEMENTED, RESOURCE_EXHAUSTED, INTERNAL].includes(code) || NOT_GRPC.test(details);
}

function explainProxy(address: HostAddress, status: number): FarlightError {
  const { url } = address;
  if (AWAY.includes(status)) {
    const message = `the proxy at ${url} does not reach its host (HTTP ${status}); see that the host runs, and try again`;
    return new FarlightError('UNREACHABLE', message);
  }
  if (REFUSED.includes(status)) {
    const message = `the proxy at ${url} lets nobody in who says no more (HTTP ${status}); ask its owner`;
    return new FarlightError('UNAUTHORIZED', message);
  }
  return noHost(address);
}

/** How long the other end may take to show that it speaks TLS, in milliseconds. */
const PROBE_TIMEOUT_MS = 2000;

/**
 * Why a peer hung up, or answered nonsense, before it said anything of the protocol. A TLS server that hears plaintext
 * says nothing that could be told from a crash; so it is asked once more, in TLS, and told nothing.
 */
export async function explainHangUp(
  address: HostAddress,
  timeoutMs: number = PROBE_TIMEOUT_MS,
): Promise<FarlightError> {
  const plaintext = address.scheme === 'grpc';
  return plaintext && (await answersInTls(address, timeoutMs)) ? speaksTls(address) : hungUp(address);
}

function answersInTls({ host, port }: HostAddress, timeoutMs: number): Promise<boolean> {
  return new native.Promise((resolve) => {
    // Whom it would have to be is unknown here, and nothing is sent.
    const probe = connectTls({ host, port, rejectUnauthorized: false });
    const settle = (answered: boolean) => {
      clearTimeout(timer);
      probe.destroy();
      resolve(answered);
    };
    const timer = setTimeout(() => settle(false), timeoutMs);
    probe.once('secureConnect', () => settle(true));
    probe.on('error', () => settle(false));
    probe.once('close', () => settle(false));
  });
}
