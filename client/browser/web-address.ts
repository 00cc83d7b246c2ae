import { isLoopback } from '../../link/address/loopback.js';
import { badUrl, tokenIn, tokenInPlaintext } from '../../link/dial/address-errors.js';
import { native } from '../../link/machine/globals.js';
import { FarlightError } from '../../proto/errors.js';

/** Where a page reaches a host. No property shows the token. */
export class WebAddress {
  /** For a WebSocket, and for messages to people: without the token. */
  readonly url: string;
  readonly #token: string | undefined;

  constructor(url: string, token?: string) {
    this.url = url;
    this.#token = token;
  }

  /** Proves to the host who we are; only over a secured connection. */
  get token(): string | undefined {
    return this.#token;
  }
}

/** The path of sessions on a host, unless the address gives another. */
const SESSION_PATH = '/session';

const FORMS =
  'wss://TOKEN@HOST:PORT, or ws://127.0.0.1:7071 for a host on this machine or at the end of a tunnel';

/**
 * Parses the address of a host for pages: `wss://[TOKEN@]HOST[:PORT][/PATH]`. On this machine it may be
 * `ws://` without a token. The default path is `/session`.
 *
 * @param page the page's own address, or its origin: used if no host is given.
 * @throws FarlightError BAD_URL for anything else; its message contains no token.
 */
export function parseWebAddress(text: string | undefined, page: string): WebAddress {
  if (text === undefined || text === '') return samePlace(page);
  if (!native.URL.canParse(text)) throw badUrl(text, FORMS);
  const url = new native.URL(text);
  const scheme = url.protocol.slice(0, -1);
  if (scheme === 'grpc' || scheme === 'grpcs') throw notForPages(scheme);
  if ((scheme !== 'ws' && scheme !== 'wss') || url.password || url.hash || url.search) {
    throw badUrl(text, FORMS);
  }
  const path = url.pathname === '/' ? SESSION_PATH : url.pathname;
  const address = `${scheme}://${url.host}${path}`;
  if (scheme === 'wss') return new WebAddress(address, tokenIn(url, text));
  if (url.username) throw tokenInPlaintext('ws', `wss://TOKEN@${url.host}`);
  if (isLoopback(url.hostname)) return new WebAddress(address);
  throw new FarlightError(
    'BAD_URL',
    `${address} would be plaintext across the network; write wss://TOKEN@${url.host}, or use an ssh tunnel and ws://127.0.0.1:PORT`,
  );
}

/** A page that the host itself serves. */
function samePlace(page: string): WebAddress {
  const { protocol = '', host = '' } = native.URL.canParse(page) ? new native.URL(page) : {};
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new FarlightError('BAD_URL', `this page has no host of its own; name one: ${FORMS}`);
  }
  return parseWebAddress(`${protocol === 'https:' ? 'wss' : 'ws'}://${host}`, page);
}

function notForPages(scheme: string): FarlightError {
  return new FarlightError(
    'BAD_URL',
    `a page cannot speak ${scheme}://; write ${FORMS}: farlight serve prints that address as its dashboard`,
  );
}
