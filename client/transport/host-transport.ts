import { FramePacker } from '../../link/channel/frame-packer.js';
import { type CompressionMode, requestCompression } from '../../proto/compression.js';
import type { ClientCertificate } from './host/client-certificate.js';
import { openGrpcStream } from './host/grpc-dialer.js';
import { explainHangUp } from './host/hang-up.js';
import { type HostAddress, parseHostAddress } from './host/host-address.js';
import { refusedCertificate } from './host/socket-errors.js';
import { type Dialer, HostLink, type LinkOptions } from './host-link.js';
import type { Transport } from './transport.js';

export interface HostOptions extends LinkOptions {
  /** When frames are compressed. Default: auto, where the line is so slow that they arrive sooner. */
  compression?: CompressionMode | 'off' | undefined;
  /** Shown to a host that asks for one. */
  certificate?: ClientCertificate | undefined;
}

/**
 * A transport to a host across the network, in this thread, which is one that has time for it.
 *
 * @throws FarlightError BAD_URL where the address is not one.
 */
export function hostTransport(url: string, options: HostOptions = {}): Transport {
  const address = parseHostAddress(url, { tls: true });
  const { compression = 'auto' } = options;
  const asked = compression === 'off' ? undefined : requestCompression(compression);
  const dialer = grpcDialer(address, options.certificate);
  return {
    target: address.url,
    open: (hello, events) => new HostLink(dialer, options, { ...hello, compression: asked }, events),
  };
}

function grpcDialer(address: HostAddress, certificate: ClientCertificate | undefined): Dialer {
  return {
    url: address.url,
    // gRPC carries it as metadata.
    token: undefined,
    connect: async ({ timeoutMs, session }) => openGrpcStream(address, { timeoutMs, certificate, session }),
    hungUp: async (why) => (why && refusedCertificate(address, why)) ?? explainHangUp(address),
    packer: (mode) => new FramePacker(mode),
  };
}
