import type { ServiceError, status } from '@grpc/grpc-js';
import { grpc } from '../../../link/grpc/grpc.js';
import { FarlightError } from '../../../proto/errors.js';
import { explainHangUp } from './hang-up.js';
import type { HostAddress } from './host-address.js';
import { noHost, unreachable } from './socket-errors.js';

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
