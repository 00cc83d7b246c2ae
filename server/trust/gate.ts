import { FarlightError } from '../../proto/errors.js';
import { AttemptLimit } from './attempt-limit.js';
import type { TokenEntry, TokenStore } from './token-store.js';

/** Who asks: what came with the first bytes, and from where. */
export interface Caller {
  token: string | undefined;
  /** The socket's remote address; undefined on a unix socket. */
  remote: string | undefined;
}

export interface GateOptions {
  tokens: Pick<TokenStore, 'verify'>;
  attempts?: AttemptLimit;
}

const WRONG = 'the host does not know this token; ask its owner for another (farlight token add)';

/**
 * Decides whether a caller may use this host. A caller that has failed too often is refused before its token is
 * looked at, so that it learns nothing by going on.
 */
export class Gate {
  readonly #tokens: Pick<TokenStore, 'verify'>;
  readonly #attempts: AttemptLimit;

  constructor({ tokens, attempts = new AttemptLimit() }: GateOptions) {
    this.#tokens = tokens;
    this.#attempts = attempts;
  }

  /**
   * Who the caller is. The sentence of the error is for the caller, and says the same whether its token was never
   * given out or was revoked.
   *
   * @param now milliseconds of a steady clock.
   * @throws FarlightError UNAUTHORIZED, or TRUST_UNUSABLE where the host cannot read its tokens: that sentence names
   *   a folder of the host, and is for its owner alone.
   */
  admit({ token, remote }: Caller, now: number): TokenEntry {
    const address = remote ?? 'unix';
    const wait = this.#attempts.waitMs(address, now);
    if (wait > 0) {
      throw unauthorized(
        `the host has refused too many tokens from this address; try again in ${Math.ceil(wait / 1000)} seconds`,
      );
    }
    const entry = token === undefined ? undefined : this.#tokens.verify(token);
    if (entry) return entry;
    this.#attempts.failed(address, now);
    throw unauthorized(
      token === undefined
        ? 'the host asks for a token; get one from its owner (farlight token add) and write grpcs://TOKEN@HOST:PORT, in a page wss://TOKEN@HOST:PORT'
        : WRONG,
    );
  }
}

function unauthorized(sentence: string): FarlightError {
  return new FarlightError('UNAUTHORIZED', sentence);
}
