import { FarlightError } from '../../proto/errors.js';
import type { TokenEntry, TokenStore } from './token-store.js';

/** Decides whether who shows a token, or none, may use this host. */
export class Gate {
  readonly #tokens: Pick<TokenStore, 'verify'>;

  constructor(tokens: Pick<TokenStore, 'verify'>) {
    this.#tokens = tokens;
  }

  /**
   * Whose token it is. The sentence of the error is for the caller, and says the same whether its token was never
   * given out or was revoked.
   *
   * @throws FarlightError UNAUTHORIZED, or TRUST_UNUSABLE where the host cannot read its tokens: that sentence names
   *   a folder of the host, and is for its owner alone.
   */
  admit(token: string | undefined): TokenEntry {
    const entry = token === undefined ? undefined : this.#tokens.verify(token);
    if (entry) return entry;
    throw new FarlightError(
      'UNAUTHORIZED',
      token === undefined
        ? 'the host asks for a token; get one from its owner (farlight token add) and write grpcs://TOKEN@HOST:PORT, in a page wss://TOKEN@HOST:PORT'
        : 'the host does not know this token; ask its owner for another (farlight token add)',
    );
  }
}
