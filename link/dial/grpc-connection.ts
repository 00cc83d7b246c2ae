import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ChannelCredentials, ChannelOptions, Client, Metadata } from '@grpc/grpc-js';
import { FarlightError } from '../../proto/errors.js';
import { EagerSocket } from '../grpc/eager-socket.js';
import { grpc } from '../grpc/grpc.js';
import { setImmediate } from '../machine/clock.js';
import type { HostAddress } from './host-address.js';
import { refusedCertificate } from './socket-errors.js';
import { secure, type VerifyOptions, verifyLocal } from './verify-peer.js';

/** A connection of its own, to the address itself: gRPC retries nothing, and looks nothing up. */
const OWN_CONNECTION: ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
};

/**
 * A gRPC connection to a host, for one user of this object. gRPC's own credentials can neither pin a self-signed
 * certificate, nor check whose program listens on this machine. So Farlight verifies the peer, and gRPC gets the socket
 * after that: no call and no token is sent before.
 */
export class GrpcConnection {
  readonly client: Client;
  /** Proves to the host who we are, with each call. Empty in plaintext. */
  readonly metadata: Metadata;
  #refusal: FarlightError | undefined;
  #socket: Socket | undefined;
  /** TLS over it, where there is any. */
  #secured: Socket | undefined;
  #isClosed = false;

  constructor(address: HostAddress, options: VerifyOptions & { channel?: ChannelOptions } = {}) {
    const { Client: GrpcClient, Metadata: GrpcMetadata } = grpc();
    const { channel, ...verify } = options;
    const credentials = this.#credentials(address, verify);
    this.client = new GrpcClient(address.target, credentials, { ...channel, ...OWN_CONNECTION });
    this.metadata = new GrpcMetadata();
    const { scheme, token } = address;
    if (scheme === 'grpcs' && token !== undefined) this.metadata.set('authorization', `Bearer ${token}`);
  }

  /** Why the peer may not be used; gRPC passes on less. Undefined if nothing was refused. */
  get refusal(): FarlightError | undefined {
    return this.#refusal;
  }

  /** Closes the connection. The host still learns of calls that were cancelled before. */
  close(): void {
    this.client.close();
    this.#isClosed = true;
    // gRPC would wait for ever for a peer that reads nothing. The cancellation leaves before this.
    setImmediate(() => this.#socket?.destroy());
  }

  /** Lets the process end while the connection is open. gRPC keeps it alive with each call that begins. */
  unref(): void {
    this.#socket?.unref();
    this.#secured?.unref();
  }

  #credentials(address: HostAddress, verify: VerifyOptions): ChannelCredentials {
    const credentials = grpc().credentials.createInsecure();
    const createConnector = credentials._createSecureConnector.bind(credentials);
    credentials._createSecureConnector = (...parameters) => {
      const connector = createConnector(...parameters);
      connector.connect = async (socket) => {
        this.#socket = socket;
        if (this.#isClosed) socket.destroy();
        try {
          if (address.scheme === 'grpcs')
            return { socket: await this.#secure(socket, address, verify), secure: true };
          await verifyLocal(socket, address);
          return { socket: new EagerSocket(socket) as Duplex as Socket, secure: false };
        } catch (error) {
          if (error instanceof FarlightError) this.#refusal = error;
          throw error;
        }
      };
      return connector;
    };
    return credentials;
  }

  async #secure(socket: Socket, address: HostAddress, verify: VerifyOptions): Promise<Socket> {
    const secured = await secure(new EagerSocket(socket), address, verify);
    this.#secured = secured;
    // In TLS 1.3 a host rejects our certificate only after the handshake.
    secured.on('error', (error) => {
      this.#refusal = refusedCertificate(address, error) ?? this.#refusal;
    });
    return secured;
  }
}
