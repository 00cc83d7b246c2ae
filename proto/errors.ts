import { harmlessLines } from './harmless.js';

/** Why a session could not be had, or ended. Each is something a program can act on. */
export type FarlightErrorCode =
  /** Nothing answered at the host's address. */
  | 'UNREACHABLE'
  /** The address is not one that Farlight understands. */
  | 'BAD_URL'
  /** Client and host share no protocol version. */
  | 'VERSION_MISMATCH'
  /** The host has no GPU that it can open. */
  | 'NO_ADAPTER'
  /** One side sent what the protocol does not allow. */
  | 'PROTOCOL_ERROR'
  /** The session's executor process ended. */
  | 'EXECUTOR_LOST'
  /** The connection to the host broke. */
  | 'DISCONNECTED'
  /** The host is stopping, or takes no more sessions. */
  | 'SHUTTING_DOWN'
  | 'BUSY'
  /** An option or argument is wrong. */
  | 'BAD_OPTION'
  /** The address to listen on is taken. */
  | 'PORT_IN_USE'
  /** A file is no recording, or is spoilt. */
  | 'BAD_RECORDING'
  /** The files that Farlight keeps on this machine cannot be read or deleted. */
  | 'CACHE_UNUSABLE'
  /** The host's certificate is not one that the client was told to trust. */
  | 'UNTRUSTED_HOST'
  /** The host does not take this client: its token is missing, wrong or revoked. */
  | 'UNAUTHORIZED'
  /** The host's folder of tokens and keys cannot be used, or others may read it. */
  | 'TRUST_UNUSABLE'
  /** The program has Farlight in a bundle, and not the package beside it. */
  | 'NOT_INSTALLED';

/**
 * An error for a person: `message` is one sentence that says what happened and what to do. The stack is the message
 * alone, since stack frames inside Farlight help no reader. `cause` has the underlying error. The message may quote a
 * peer, so control characters are removed from it.
 */
export class FarlightError extends Error {
  override readonly name = 'FarlightError';
  readonly code: FarlightErrorCode;

  constructor(code: FarlightErrorCode, message: string, options?: { cause?: unknown }) {
    super(harmlessLines(message), options);
    this.code = code;
    this.stack = `${this.name}: ${this.message}`;
  }
}

/** The peer sent what the protocol does not allow; the session that received it ends. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Says of a peer that it broke the protocol, and how. */
export function brokeProtocol(peer: 'client' | 'host', { message }: ProtocolError): string {
  return `The ${peer} sent what the protocol does not allow: ${message}.`;
}

/** Asserts what only a bug of ours could break. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Farlight bug: ${message}`);
}

/** The error if this process may open no more files or connections; undefined for any other cause. */
export function tooManyFiles(cause: unknown): FarlightError | undefined {
  const { code } = (cause ?? {}) as { code?: unknown };
  if (code !== 'EMFILE' && code !== 'ENFILE') return undefined;
  return new FarlightError(
    'UNREACHABLE',
    `the GPU cannot be reached, since too many files are open here (${code}); close some, or allow more with: ulimit -n`,
    { cause },
  );
}

/** The code of an error of Node's, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return (error as { code?: string } | null | undefined)?.code;
}

/** The message of any exception. It does not use `instanceof`: a test runner may have errors of another realm. */
export function messageOf(error: unknown): string {
  const message = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' ? message : String(error);
}
