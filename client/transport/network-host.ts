import { FramePacker } from '../../link/channel/frame-packer.js';
import type { ClientCertificate } from '../../link/dial/client-certificate.js';
import { explainHangUp } from '../../link/dial/grpc-errors.js';
import { HostAddress, parseHostAddress } from '../../link/dial/host-address.js';
import { refusedCertificate } from '../../link/dial/socket-errors.js';
import { FarlightError } from '../../proto/errors.js';
import { requestCompression } from '../../proto/session/compression.js';
import type { Moved } from '../../proto/session/handshake.js';
import { openGrpcCarrier } from './host/grpc-dialer.js';
import { type Dialer, HostLink, type HostOptions } from './host-link.js';
import type { Transport } from './transport.js';

/**
 * The way to a host across the network, with the connection in this thread.
 *
 * @throws FarlightError BAD_URL where the address is not one.
 */
export function networkHost(url: string, options: HostOptions = {}): Transport {
  const address = parseHostAddress(url, { tls: true });
  const { compression = 'auto', certificate } = options;
  const asked = compression === 'off' ? undefined : requestCompression(compression);
  const dialer = networkDialer(address, certificate);
  return {
    target: address.url,
    open: (hello, events, brought) =>
      new HostLink(dialer, options, { ...hello, compression: asked }, events, brought),
  };
}

/**
 * Makes gRPC connections to a host.
 *
 * @param certificate is shown to a host that asks for one.
 * @param isUnreferenced whether the process may end while a connection is open.
 */
function networkDialer(
  address: HostAddress,
  certificate: ClientCertificate | undefined,
  isUnreferenced = false,
): Dialer {
  return {
    url: address.url,
    connect: async ({ timeoutMs, session }) =>
      openGrpcCarrier(address, { timeoutMs, certificate, session, isUnreferenced }),
    hungUp: async (why) => (why && refusedCertificate(address, why)) ?? explainHangUp(address),
    form: ({ compression: granted }) => granted && new FramePacker(granted.mode),
    follow: (moved) => movedDialer(moved, address, certificate, isUnreferenced),
  };
}

/**
 * Makes connections to the host that the host at `from` has moved a session to.
 *
 * @param isUnreferenced as of `networkDialer`.
 * @throws FarlightError BAD_URL where the address is not one; UNTRUSTED_HOST where it is plaintext and `from` is not.
 */
export function movedDialer(
  { address, sessionId }: Moved,
  from: HostAddress,
  certificate: ClientCertificate | undefined,
  isUnreferenced: boolean,
): Dialer {
  const to = parseHostAddress(address, { tls: true });
  if (from.scheme === 'grpcs' && to.scheme !== 'grpcs') {
    const sentence = `${from.url} is reached over TLS, and ${to.url} would be plaintext`;
    throw new FarlightError('UNTRUSTED_HOST', sentence);
  }
  return networkDialer(new HostAddress(to, sessionId), certificate, isUnreferenced);
}
