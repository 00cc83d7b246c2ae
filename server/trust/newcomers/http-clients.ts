import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout } from '../../../link/machine/clock.js';
import { bearerOf, type Peer, REFUSED_AFTER_MS } from '../admission.js';
import type { HostTrust } from '../host-trust.js';
import type { LocalUser } from '../local-users.js';
import type { Newcomers } from './newcomers.js';

/** An HTTP server's rules for its clients. */
export interface HttpTrust<Client> extends Pick<HostTrust, 'users' | 'tokens'> {
  /** @throws FarlightError UNAUTHORIZED, whose sentence is for the client. */
  admit(token: string | undefined, peer: Peer): Client;
}

/** Knows the clients of an HTTP server by their tokens. Where it asks for none, they are users of this machine. */
export class HttpClients<Client> {
  readonly #trust: HttpTrust<Client>;
  readonly #newcomers: Newcomers;
  readonly #users = new WeakMap<Socket, Promise<LocalUser>>();

  constructor(trust: HttpTrust<Client>, newcomers: Newcomers) {
    this.#trust = trust;
    this.#newcomers = newcomers;
  }

  /**
   * The client that sent a request. Its connection is no newcomer any more.
   *
   * @throws FarlightError UNAUTHORIZED (rejects), after a while.
   */
  async of({ socket, headers }: IncomingMessage): Promise<Client> {
    const trust = this.#trust;
    try {
      // Where the server asks for tokens, they decide, and it does not look up the user.
      const user = trust.tokens ? undefined : await this.#userOf(socket);
      const client = trust.admit(bearerOf(headers.authorization), { remote: socket.remoteAddress, user });
      this.#newcomers.known(socket);
      return client;
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve, REFUSED_AFTER_MS).unref());
      throw error;
    }
  }

  #userOf(socket: Socket): Promise<LocalUser> {
    const found = this.#users.get(socket) ?? this.#newcomers.userOf(socket, this.#trust.users);
    this.#users.set(socket, found);
    return found;
  }
}
