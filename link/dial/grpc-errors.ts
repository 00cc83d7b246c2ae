import { connect as connectTls } from 'node:tls';
import type { ServiceError, status } from '@grpc/grpc-js';
import { FarlightError } from '../../proto/errors.js';
import { grpc } from '../grpc/grpc.js';
import { clearTimeout, setTimeout } from '../machine/clock.js';
import { native } from '../machine/globals.js';
import type { HostAddress } from './host-address.js';
import { hungUp, noHost, speaksTls, unreachable } from './socket-errors.js';

/** gRPC's words for a server with another protocol, or with HTTP/2 and no gRPC. */
const NOT_GRPC = /Protocol error|Parse Error|HTTP|without gRPC status/i;

/** gRPC's words if the peer closed the connection before it replied. */
const HUNG_UP = /ECONNRESET|Connection dropped|Failed to connect\b|GOAWAY|Stream refused|Call cancelled/i;

/** gRPC's words for a plain HTTP response, as a proxy sends it. */
const HTTP_STATUS = /HTTP status code (\d+)/;
/** The statuses (RFC 9110) of a proxy that cannot reach its server now. */
const AWAY = [429, 502, 503, 504];
const REFUSED = [401, 403];

const UNKNOWN_NAME = /^Name resolution failed/;

/** Whether the peer closed the connection before it replied. */
export function hasHungUp({ details }: Pick<ServiceError, 'details'>): boolean {
  return HUNG_UP.test(details);
}

/** Explains gRPC's status of a failed call. */
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

/** Whether another server replied: it lacks the service, or does not speak gRPC. */
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

/** How long the peer may take for a TLS handshake, in milliseconds. */
const PROBE_TIMEOUT_MS = 2000;

/**
 * Explains why a peer hung up, or sent nonsense, before any sign of the protocol. A TLS server that gets plaintext behaves
 * like one that crashes. So this tries one TLS handshake, and sends nothing else.
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
    // The right key is unknown here, and nothing is sent.
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
