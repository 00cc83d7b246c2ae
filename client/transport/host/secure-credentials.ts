import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { grpc } from '../../../link/grpc/grpc.js';
import { FarlightError } from '../../../proto/errors.js';
import type { HostAddress } from './host-address.js';
import { verifyLocal } from './local-peer.js';
import { type SocketOptions, secure } from './secure-socket.js';
import { refusedCertificate } from './socket-errors.js';

export interface SecureCredentialsOptions extends SocketOptions {
  /** Told why no connection is had that may be used: gRPC itself passes on less. */
  onRefused?: ((reason: FarlightError) => void) | undefined;
  /** Told of each connection, before anything is said on it. */
  onSocket?: ((socket: Socket) => void) | undefined;
}

/**
 * gRPC credentials for an address. gRPC's own cannot pin a certificate that nobody signed, nor do they look whose program
 * listens on this machine; so the connection is secured by us, and gRPC gets the socket when the peer is verified. No
 * call's metadata is sent before.
 *
 * Whatever else takes a socket in gRPC's place (client/transport/host/socket-hold.ts) wraps these.
 */
export function secureCredentials(
  address: HostAddress,
  options: SecureCredentialsOptions = {},
): ChannelCredentials {
  const { onRefused = () => {}, onSocket, ...socketOptions } = options;
  const credentials = grpc().credentials.createInsecure();
  const createConnector = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...parameters) => {
    const connector = createConnector(...parameters);
    connector.connect = async (socket) => {
      onSocket?.(socket);
      try {
        if (address.scheme !== 'grpcs') {
          await verifyLocal(socket, address);
          return { socket, secure: false };
        }
        const secured = await secure(socket, address, { ...socketOptions, protocols: ['h2'] });
        // In TLS 1.3 the host says only afterwards that it does not take our certificate.
        secured.on('error', (error) => {
          const reason = refusedCertificate(address, error);
          if (reason) onRefused(reason);
        });
        return { socket: secured, secure: true };
      } catch (error) {
        if (error instanceof FarlightError) onRefused(error);
        throw error;
      }
    };
    return connector;
  };
  return credentials;
}
