import { NearStream } from '../../link/near/near-stream.js';
import { SharedFile } from '../../link/near/shared-file.js';
import { explainHangUp } from './host/hang-up.js';
import { HostAddress } from './host/host-address.js';
import { openSocket, type SocketOptions } from './host/secure-socket.js';
import { noHost } from './host/socket-errors.js';
import { type Dialer, HostLink, type LinkOptions } from './host-link.js';
import { NearLink } from './near-link.js';
import type { Transport } from './transport.js';

/**
 * A host on this machine, which listens at a unix socket too. The connection is this thread's own: what would be gained
 * by another that has it is less than what it costs to wake that for each message. Nothing is compressed.
 *
 * @param find gives the socket's path, or undefined where there is none now.
 */
export function nearHost(
  address: HostAddress,
  find: () => string | undefined,
  options: LinkOptions = {},
): Transport {
  const dialer: Dialer = {
    url: address.url,
    token: undefined,
    connect: async (how) => {
      const stream = NearStream.over(await open(address, find(), how));
      stream.unref?.();
      return stream;
    },
    hungUp: () => explainHangUp(address),
    makeShared: () => SharedFile.make(),
  };
  return {
    target: address.url,
    open: (hello, events) => new NearLink((inner) => new HostLink(dialer, options, hello, inner), events),
  };
}

/** A host that was started again is at another path, and says what became of the session. */
async function open(address: HostAddress, path: string | undefined, options: SocketOptions) {
  if (address.scheme === 'unix') return openSocket(address, options);
  if (path === undefined) throw noHost(address, 'nobody listens there');
  const near = new HostAddress({ scheme: 'unix', host: '', port: 0, path });
  return openSocket(near, options).catch((error: Error) => {
    throw noHost(address, 'its unix socket does not answer', error);
  });
}
