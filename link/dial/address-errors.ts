import { FarlightError } from '../../proto/errors.js';
import { isToken, redact } from '../../proto/token.js';

/** The error for an address in none of the `forms`. */
export function badUrl(text: string, forms: string): FarlightError {
  // Without a scheme, redact cannot tell a token of another kind from a name.
  const shown = redact(text).replace(/^[^/]*@/, '***@');
  return new FarlightError('BAD_URL', `"${shown}" is not a host's address; write ${forms}`);
}

/**
 * The token in an address, if there is one.
 *
 * @throws FarlightError BAD_URL if the text there is no token; the sentence quotes nothing of it.
 */
export function tokenIn(url: URL, text: string): string | undefined {
  if (!url.username) return undefined;
  if (isToken(url.username)) return url.username;
  throw new FarlightError(
    'BAD_URL',
    `the text before the @ in "${redact(text)}" is not a whole token; copy all that farlight token add printed`,
  );
}

/** The error for a token in a plaintext address: others could read it on the way. */
export function tokenInPlaintext(scheme: string, secured: string): FarlightError {
  return new FarlightError(
    'BAD_URL',
    `a token does not belong in a ${scheme}:// address, which is plaintext; write ${secured}`,
  );
}

/** The error for a unix socket where Node opens none. */
export function noUnixSocket(text: string): FarlightError {
  return new FarlightError(
    'BAD_URL',
    `${text} is a unix socket, and Node has none on Windows; use the address of a host that listens on a port`,
  );
}
