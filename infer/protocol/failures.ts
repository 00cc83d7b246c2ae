import { FarlightError } from '../../proto/errors.js';
import { harmless } from '../../proto/harmless.js';
import { InferenceError, type InferenceErrorCode } from '../service/service.js';

/** How each protocol says that a request failed. */
interface Status {
  readonly http: number;
  /** The name of a code of gRPC. */
  readonly grpc: GrpcCode;
}

export type GrpcCode =
  | 'CANCELLED'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'INTERNAL'
  | 'UNIMPLEMENTED'
  | 'UNAVAILABLE'
  | 'UNAUTHENTICATED';

const STATUSES: Readonly<Record<InferenceErrorCode | 'unauthenticated', Status>> = {
  invalid: { http: 400, grpc: 'INVALID_ARGUMENT' },
  'not-found': { http: 404, grpc: 'NOT_FOUND' },
  unavailable: { http: 503, grpc: 'UNAVAILABLE' },
  overloaded: { http: 503, grpc: 'UNAVAILABLE' },
  quota: { http: 429, grpc: 'RESOURCE_EXHAUSTED' },
  'too-large': { http: 413, grpc: 'RESOURCE_EXHAUSTED' },
  expired: { http: 503, grpc: 'DEADLINE_EXCEEDED' },
  cancelled: { http: 503, grpc: 'CANCELLED' },
  forbidden: { http: 403, grpc: 'PERMISSION_DENIED' },
  unsupported: { http: 501, grpc: 'UNIMPLEMENTED' },
  internal: { http: 500, grpc: 'INTERNAL' },
  unauthenticated: { http: 401, grpc: 'UNAUTHENTICATED' },
};

/** Why a request has no result, for its client. */
export interface Failure extends Status {
  readonly sentence: string;
  /** Whole seconds after which asking again may help. */
  readonly retryAfter: number | undefined;
}

/**
 * Says to a client why its request failed. A bug is not shown to the client: `onBug` gets it for the log.
 */
export function failureOf(error: unknown, onBug: (error: unknown) => void): Failure {
  if (error instanceof InferenceError) {
    const { code, message, retryAfter } = error;
    // Triton's clients look for these words.
    const isUnknown = code === 'not-found' && !/^(Request for|failed to)/.test(message);
    return {
      ...STATUSES[code],
      sentence: brief(isUnknown ? `Request for unknown model: ${message}` : message),
      retryAfter: retryAfter === undefined ? undefined : Math.max(1, Math.ceil(retryAfter)),
    };
  }
  if (error instanceof FarlightError && error.code === 'UNAUTHORIZED') {
    return { ...STATUSES.unauthenticated, sentence: error.message, retryAfter: undefined };
  }
  onBug(error);
  return {
    ...STATUSES.internal,
    sentence: 'the server could not answer; its log says why',
    retryAfter: undefined,
  };
}

/** The longest sentence, in characters: a message may quote the client. */
const LONGEST = 500;

function brief(text: string): string {
  const line = harmless(text.slice(0, 2 * LONGEST));
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST)}…`;
}

/** An error of loading or unloading, in the words that Triton's clients look for. */
export function loadFailure(verb: 'load' | 'unload', model: string, error: unknown): unknown {
  if (!(error instanceof InferenceError) || error.code === 'forbidden') return error;
  const { code, message, retryAfter, cause } = error;
  return new InferenceError(code, `failed to ${verb} '${model}': ${message}`, {
    ...(retryAfter !== undefined && { retryAfter }),
    cause,
  });
}
