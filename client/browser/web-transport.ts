import { noHost } from '../../link/dial/socket-errors.js';
import { native } from '../../link/machine/globals.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { type Dialer, HostLink, type LinkOptions } from '../transport/host-link.js';
import type { Transport } from '../transport/transport.js';
import { parseWebAddress } from './web-address.js';
import { WebSocketCarrier } from './web-socket-carrier.js';

/**
 * The way from a page to a host, over a WebSocket. The session is the same as over a socket. If its WebSocket
 * is lost, it resumes over another.
 *
 * @param host `wss://TOKEN@HOST:PORT`, or `ws://127.0.0.1:PORT`; by default the server that the page came
 *   from.
 * @throws FarlightError BAD_URL if the address is malformed.
 */
export function webTransport(host: string | undefined, options: LinkOptions = {}): Transport {
  const address = parseWebAddress(host, origin);
  const { url, token } = address;
  const dialer: Dialer = {
    url,
    token,
    connect: (how) =>
      WebSocketCarrier.open(url, how).catch((cause: unknown) =>
        native.Promise.reject(unreachable(url, cause)),
      ),
    hungUp: async () => noHost({ url }, 'the server there hung up without a word'),
  };
  return {
    target: url,
    open(hello, events) {
      // Tells the host when the page goes: otherwise the host keeps a GPU for it. A page that may come back
      // is not gone.
      const leave = ({ persisted }: PageTransitionEvent) => {
        if (!persisted) link.close();
      };
      const link = new HostLink(dialer, options, hello, {
        ...events,
        onClose: (reason) => {
          globalThis.removeEventListener('pagehide', leave);
          events.onClose(reason);
        },
      });
      globalThis.addEventListener('pagehide', leave);
      return link;
    },
  };
}

/** A browser does not tell a page why there is no connection, so the message lists all that may be wrong. */
function unreachable(url: string, cause: unknown): FarlightError {
  const foreign = new native.URL(url).host !== location.host;
  const how = foreign ? `farlight serve --allow-origin ${origin}` : 'farlight serve';
  const or = foreign ? `, or it takes no pages of ${origin}` : '';
  return new FarlightError(
    'UNREACHABLE',
    `no farlight host answers at ${url} (${messageOf(cause)})${or}; have it started with: ${how}`,
    { cause },
  );
}
