import type { ChannelCredentials } from '@grpc/grpc-js';
import { grpc } from '../../link/grpc.js';
import type { HostAddress } from './host-address.js';
import { type SocketOptions, secure } from './secure-socket.js';

/**
 * gRPC credentials for an address with TLS. gRPC's own cannot pin a certificate that nobody signed; so the connection
 * is secured by us, and gRPC gets the socket when the peer is verified. No call's metadata is sent before.
 *
 * Whatever else takes a socket in gRPC's place (client/transport/socket-hold.ts) wraps these.
 */
export function secureCredentials(address: HostAddress, options: SocketOptions = {}): ChannelCredentials {
  const credentials = grpc().credentials.createInsecure();
  const createConnector = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...parameters) => {
    const connector = createConnector(...parameters);
    connector.connect = async (socket) => ({
      socket: await secure(socket, address, { ...options, protocols: ['h2'] }),
      secure: true,
    });
    return connector;
  };
  return credentials;
}
