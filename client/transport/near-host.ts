import { NearStream } from '../../link/near-stream.js';
import { SharedFile } from '../../link/shared-file.js';
import { explainHangUp } from './hang-up.js';
import { HostAddress } from './host-address.js';
import { type Dialer, HostLink, type LinkOptions } from './host-link.js';
import { NearLink } from './near-link.js';
import { openSocket, type SocketOptions } from './secure-socket.js';
import type { Transport } from './transport.js';

/**
 * A host on this machine, which listens at `path` too. The connection is this thread's own: what would be gained by
 * another that has it is less than what it costs to wake that for each message. Nothing is compressed.
 */
export function nearHost(address: HostAddress, path: string, options: LinkOptions = {}): Transport {
  const dialer: Dialer = {
    url: address.url,
    token: undefined,
    connect: async (how) => {
      const stream = NearStream.over(await open(address, path, how));
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

/** Where nobody listens at the path any more, the address is what counts. */
async function open(address: HostAddress, path: string, options: SocketOptions) {
  if (address.scheme === 'unix') return openSocket(address, options);
  const near = new HostAddress({ scheme: 'unix', host: '', port: 0, path });
  return openSocket(near, options).catch(() => openSocket(address, options));
}
