import type { ServiceError, status } from '@grpc/grpc-js';
import { grpc } from '../../link/grpc.js';
import { FarlightError } from '../../proto/errors.js';
import { explainHangUp } from './hang-up.js';
import type { HostAddress } from './host-address.js';
import { noHost } from './socket-errors.js';

/** What gRPC says of a server that answers in another protocol, or in HTTP/2 without gRPC. */
const NOT_GRPC = /Protocol error|Parse Error|HTTP|without gRPC status/i;

/** What gRPC says where the peer closed the connection before it answered. */
const HUNG_UP = /ECONNRESET|Connection dropped|Failed to connect\b|GOAWAY/i;

/** Whether the peer closed the connection before it answered. */
export function hasHungUp({ details }: Pick<ServiceError, 'details'>): boolean {
  return HUNG_UP.test(details);
}

/** Why a call to a host failed, as gRPC says it. */
export async function explainStatus(
  address: HostAddress,
  { code, details }: Pick<ServiceError, 'code' | 'details'>,
): Promise<FarlightError> {
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
