import { FarlightError } from '../../proto/errors.js';
import { Gate } from './gate.js';
import type { LocalUser, LocalUsers } from './local-users.js';
import type { TokenStore } from './token-store.js';

/** Who a client is, as the host knows it. */
export interface Visitor {
  /** What the host keeps is shared within a tenant, and never beyond. */
  readonly tenant: string;
  /** The id of the token that was shown; undefined where none is asked for. */
  readonly tokenId: string | undefined;
}

/** What is known of a connection before anything is read of it. */
export interface Peer {
  /** The socket's remote address; undefined on a unix socket. */
  readonly remote: string | undefined;
  /** Whose process has the other end, where that decides who may use the host: in plaintext. */
  readonly user: LocalUser;
}

/** Decides who a client is, before anything else is done for it. */
export interface Admission {
  /**
   * @param token as the client gave it, of any type.
   * @throws FarlightError UNAUTHORIZED, whose sentence is for the client.
   */
  admit(token: unknown, peer: Peer): Visitor;
}

/** In plaintext no token is asked for: whose process it is on this machine decides. */
export function localAdmission(users: LocalUsers): Admission {
  return { admit: (_, { user }) => ({ tenant: users.tenantOf(user), tokenId: undefined }) };
}

/**
 * How long who is not let in waits to hear of it, in milliseconds: nobody is locked out for failing, so this is what
 * bounds how often a connection can fail. Who shows a token that counts is let in at once, whoever else fails.
 */
export const REFUSED_AFTER_MS = 1000;

export interface TokenAdmissionOptions {
  tokens: Pick<TokenStore, 'verify'>;
  /** Milliseconds of a steady clock. */
  now: () => number;
  /** Tells the host's owner what is wrong with the tokens; the client is not told which folder it is. */
  warn(sentence: string): void;
}

/** The owner is told at most so often, in milliseconds: whoever reaches the port can have the host find out. */
const WARN_MS = 60_000;

/** Who shows a token of the host's may use it, as its tenant. */
export class TokenAdmission implements Admission {
  readonly #gate: Gate;
  readonly #options: TokenAdmissionOptions;
  #warnedAt = Number.NEGATIVE_INFINITY;

  constructor(options: TokenAdmissionOptions) {
    this.#options = options;
    this.#gate = new Gate(options.tokens);
  }

  admit(given: unknown): Visitor {
    const token = typeof given === 'string' ? given : undefined;
    try {
      const { tenant, id } = this.#gate.admit(token);
      return { tenant, tokenId: id };
    } catch (error) {
      if (!(error instanceof FarlightError) || error.code === 'UNAUTHORIZED') throw error;
      const now = this.#options.now();
      if (now - this.#warnedAt >= WARN_MS) {
        this.#warnedAt = now;
        this.#options.warn(error.message);
      }
      throw new FarlightError(
        'UNAUTHORIZED',
        'the host cannot read its tokens, and lets nobody in; ask its owner to look at what it prints',
        { cause: error },
      );
    }
  }
}
