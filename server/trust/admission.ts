import { FarlightError } from '../../proto/errors.js';
import type { LocalUser, LocalUsers } from './local-users.js';
import type { TokenStore } from './token-store.js';

/** A client, once the host knows it. */
export interface KnownClient {
  /** The host shares what it keeps within a tenant, and never beyond. */
  readonly tenant: string;
  /** The id of the token that the client showed; undefined where the host asks for none. */
  readonly tokenId: string | undefined;
}

/** The other end of a connection, before the host has read anything from it. */
export interface Peer {
  /** The socket's remote address; undefined on a unix socket. */
  readonly remote: string | undefined;
  /** The user who owns the process at the other end. It decides who may use a host in plaintext. */
  readonly user: LocalUser;
}

/** Decides who a client is, before the host does anything else for it. */
export interface Admission {
  /**
   * @param token as the client gave it, of any type.
   * @throws FarlightError UNAUTHORIZED, whose sentence is for the client.
   */
  admit(token: unknown, peer: Peer): KnownClient;
}

/** The token in an `Authorization` header. */
export function bearerOf(authorization: unknown): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(String(authorization ?? '').slice(0, 1024))?.[1];
}

/** In plaintext a host asks for no token: the user of the process at the other end decides. */
export function localAdmission(users: LocalUsers): Admission {
  return { admit: (_, { user }) => ({ tenant: users.tenantOf(user), tokenId: undefined }) };
}

/**
 * How long a refused client waits for its answer, in milliseconds. The host locks nobody out for failing, so this
 * delay bounds how often a connection can fail. A valid token is admitted at once, whoever else fails.
 */
export const REFUSED_AFTER_MS = 1000;

export interface TokenAdmissionOptions {
  tokens: Pick<TokenStore, 'verify'>;
  /** Milliseconds of a steady clock. */
  now: () => number;
  /** Tells the host's owner that the tokens cannot be read. The client does not learn the folder's path. */
  warn(sentence: string): void;
}

/** The shortest time between two warnings, in milliseconds: anybody who reaches the port can cause one. */
const WARN_MS = 60_000;

/** Admits each client that shows one of the host's tokens, as the token's tenant. */
export class TokenAdmission implements Admission {
  readonly #options: TokenAdmissionOptions;
  #warnedAt = Number.NEGATIVE_INFINITY;

  constructor(options: TokenAdmissionOptions) {
    this.#options = options;
  }

  admit(given: unknown): KnownClient {
    const token = typeof given === 'string' ? given : undefined;
    const entry = token === undefined ? undefined : this.#verify(token);
    if (entry) return { tenant: entry.tenant, tokenId: entry.id };
    // One sentence for tokens that never existed and for revoked ones: trying teaches nothing.
    throw new FarlightError(
      'UNAUTHORIZED',
      token === undefined
        ? 'the host asks for a token; get one from its owner (farlight token add) and write grpcs://TOKEN@HOST:PORT, in a page wss://TOKEN@HOST:PORT'
        : 'the host does not know this token; ask its owner for another (farlight token add)',
    );
  }

  #verify(token: string): ReturnType<TokenStore['verify']> {
    try {
      return this.#options.tokens.verify(token);
    } catch (error) {
      if (!(error instanceof FarlightError)) throw error;
      const now = this.#options.now();
      if (now - this.#warnedAt >= WARN_MS) {
        this.#warnedAt = now;
        this.#options.warn(error.message);
      }
      throw new FarlightError(
        'UNAUTHORIZED',
        'the host cannot read its tokens, and admits nobody; ask its owner to read the warning that the host prints',
        { cause: error },
      );
    }
  }
}
