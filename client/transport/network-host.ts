import { FramePacker } from '../../link/channel/frame-packer.js';
import { explainHangUp } from '../../link/dial/grpc-errors.js';
import { parseHostAddress } from '../../link/dial/host-address.js';
import { refusedCertificate } from '../../link/dial/socket-errors.js';
import { requestCompression } from '../../proto/session/compression.js';
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
  const dialer: Dialer = {
    url: address.url,
    connect: async ({ timeoutMs, session }) => openGrpcCarrier(address, { timeoutMs, certificate, session }),
    hungUp: async (why) => (why && refusedCertificate(address, why)) ?? explainHangUp(address),
    form: ({ compression: granted }) => granted && new FramePacker(granted.mode),
  };
  return {
    target: address.url,
    open: (hello, events) => new HostLink(dialer, options, { ...hello, compression: asked }, events),
  };
}
