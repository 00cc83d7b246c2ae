/** The beginning of every token. People and secret scanners recognise a token by it. */
export const TOKEN_PREFIX = 'flt_';

/** The random bytes of a token; they follow the prefix in base64url. */
export const TOKEN_BYTES = 32;

const TOKEN = /^flt_[A-Za-z0-9_-]{43}$/;

/** Whether a text has the form of a whole token. Part of a token, from a careless copy, does not. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * Removes the secrets that an address may hold: tokens, whole or in part, and all text between `://` and `@`. Every
 * message that quotes an address from a person goes through this. The word TOKEN is none: messages have it where a person is
 * to write one.
 */
export function redact(text: string): string {
  const part = (found: string) => (found === '://TOKEN@' ? found : '://***@');
  return text.replace(/:\/\/[^\s"']*@/g, part).replace(/flt_[A-Za-z0-9_%-]+/g, 'flt_***');
}
