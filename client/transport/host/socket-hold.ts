import { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { grpc } from '../../../link/grpc/grpc.js';

/**
 * Decides, in gRPC's place, whether a connection keeps the process alive.
 *
 * gRPC holds the process for as long as a call is open (it calls `ref` on the HTTP/2 session, which
 * calls it on the socket), but a session's one call is open until the program ends. So the program
 * would never end by itself. gRPC has no option for this; what it has is credentials, which see each
 * socket before HTTP/2 does. These take the socket's `ref` and `unref` out of gRPC's hands.
 *
 * While the connection is still being made gRPC holds the process regardless; that lasts no longer
 * than the connection timeout.
 */
export class SocketHold {
  #held = false;
  #destroyed = false;
  #socket: Socket | undefined;

  /** These credentials (plaintext by default), whose connections keep the process alive only while this hold is on. */
  credentials(credentials: ChannelCredentials = grpc().credentials.createInsecure()): ChannelCredentials {
    const createConnector = credentials._createSecureConnector.bind(credentials);
    credentials._createSecureConnector = (...parameters) => {
      const connector = createConnector(...parameters);
      const connect = connector.connect.bind(connector);
      connector.connect = (socket) => {
        this.#take(socket);
        return connect(socket);
      };
      return connector;
    };
    return credentials;
  }

  set(held: boolean): void {
    this.#held = held;
    this.#apply();
  }

  /** Closes the connection now: a peer that says nothing would keep gRPC waiting for it. */
  destroy(): void {
    this.set(false);
    this.#destroyed = true;
    this.#socket?.destroy();
  }

  #take(socket: Socket): void {
    this.#socket = socket;
    socket.ref = () => socket;
    socket.unref = () => socket;
    this.#apply();
    if (this.#destroyed) socket.destroy();
  }

  #apply(): void {
    if (!this.#socket) return;
    if (this.#held) Socket.prototype.ref.call(this.#socket);
    else Socket.prototype.unref.call(this.#socket);
  }
}
