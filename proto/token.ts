/** What every token begins with: people and scanners for secrets recognise one by it. */
export const TOKEN_PREFIX = 'flt_';

/** The random bytes of a token; they follow the prefix in base64url. */
export const TOKEN_BYTES = 32;

const TOKEN = /^flt_[A-Za-z0-9_-]{43}$/;

/** Whether a text has the form of a token. A part of one, as a careless copy leaves it, has not. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * A text without the secrets that an address may hold: tokens, whole or in part, and whatever stands between
 * `://` and `@`. For every message that quotes what a person gave.
 */
export function redact(text: string): string {
  return text.replace(/:\/\/[^\s"']*@/g, '://***@').replace(/flt_[A-Za-z0-9_%-]+/g, 'flt_***');
}
