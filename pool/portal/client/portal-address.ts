import { isPin } from '../../../link/address/certificate-pin.js';
import { shownHost } from '../../../link/address/host-port.js';
import { isLoopback } from '../../../link/address/loopback.js';
import { native } from '../../../link/machine/globals.js';
import { FarlightError } from '../../../proto/errors.js';
import { isToken, redact } from '../../../proto/token.js';

/** The variable with the token, for addresses that have none. */
export const TOKEN_VARIABLE = 'FARLIGHT_PORTAL_TOKEN';

const FORMS = {
  pool: 'pool+https://TOKEN@HOST:PORT/POOL?ca=PIN, or pool+http://127.0.0.1:PORT/POOL for a portal of this machine',
  portal: 'https://TOKEN@HOST:PORT?ca=PIN, or http://127.0.0.1:PORT for a portal of this machine',
} as const;

/** Where a portal is, and how it is recognised. The token is a secret. */
export interface PortalAddress {
  /** For messages: without token and pin. */
  readonly origin: string;
  readonly isSecure: boolean;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly pin: string | undefined;
  readonly token: string | undefined;
  /** Empty where the address names none. */
  readonly pool: string;
}

/**
 * Understands `[pool+]https://[TOKEN@]HOST[:PORT][/POOL][?ca=PIN]`, and `http://` for this machine.
 *
 * @param asked what the address is to name, for the sentence of an error.
 * @throws FarlightError BAD_URL for anything else; its sentence has no token in it.
 */
export function parsePortalAddress(
  text: string,
  env: NodeJS.ProcessEnv = process.env,
  asked: keyof typeof FORMS = 'pool',
): PortalAddress {
  const bare = text.replace(/^pool\+/, '');
  const url = native.URL.canParse(bare) ? new native.URL(bare) : undefined;
  const [, pool = ''] = /^\/([A-Za-z0-9_-]*)\/?$/.exec(url?.pathname ?? '') ?? [];
  const isWhole = url !== undefined && url.hostname !== '' && (pool !== '' || /^\/?$/.test(url.pathname));
  if (!isWhole || !/^https?:$/.test(url.protocol) || url.hash || url.password)
    throw notPortal(text, FORMS[asked]);
  const isSecure = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const origin = `${url.protocol}//${shownHost(host)}${url.port && `:${url.port}`}`;
  const port = Number(url.port || (isSecure ? 443 : 80));
  const token = url.username || undefined;
  if (token !== undefined && !isToken(token)) {
    const why = `the text before the @ in "${redact(text)}" is not a whole token; copy all that farlight token add printed`;
    throw new FarlightError('BAD_URL', why);
  }
  if (!isSecure) {
    if (!isLoopback(host) || token !== undefined || url.search) {
      const why = `${origin} is plaintext, for a portal of this machine without a token; write pool+https:// for others`;
      throw new FarlightError('BAD_URL', why);
    }
    return { origin, isSecure, host, port, pin: undefined, token: undefined, pool };
  }
  const pin = url.search ? /^\?ca=([^&]*)$/.exec(url.search)?.[1] : undefined;
  if (url.search && (pin === undefined || !isPin(pin))) {
    const why = `the ca in "${redact(text)}" is not whole; copy the address as the portal printed it, with 43 letters behind ca=`;
    throw new FarlightError('BAD_URL', why);
  }
  return { origin, isSecure, host, port, pin, token: token ?? (env[TOKEN_VARIABLE] || undefined), pool };
}

function notPortal(text: string, forms: string): FarlightError {
  return new FarlightError('BAD_URL', `"${redact(text)}" is not a portal's address; write ${forms}`);
}
