import type { Socket } from 'node:net';
import { knowsUsers, ownUser, userBehind } from '../../link/address/peer-user.js';
import { FarlightError } from '../../proto/errors.js';
import { DEFAULT_TENANT } from './token-store.js';

/**
 * The number of the user who owns the process at the other end of a connection. Undefined if the host looked and found
 * none.
 */
export type LocalUser = number | undefined;

/**
 * The user that runs this host. A connection counts as the owner's if the system admits nobody else, as on the owner's own
 * unix socket. It also counts as the owner's if the system does not tell its user.
 */
export const OWNER: LocalUser = ownUser ?? 0;

/** Decides which users of this machine may use a host, or see its dashboard, without a token. */
export class LocalUsers {
  readonly #allowOthers: boolean;

  /** @param allowOthers admits users other than the host's own and root. */
  constructor(allowOthers: boolean) {
    this.#allowOthers = allowOthers;
  }

  get allowsOthers(): boolean {
    return this.#allowOthers;
  }

  /**
   * The user of the process that connected to a loopback port or a unix socket. Never rejects.
   *
   * @param since as for `userBehind`.
   */
  async of(socket: Socket, since?: number): Promise<LocalUser> {
    return knowsUsers && socket.remoteAddress !== undefined ? userBehind(socket, since) : OWNER;
  }

  /** Whether the user of a connection may look at pages, as a page server asks. Never rejects. */
  readonly mayLook = async (socket: Socket): Promise<boolean> => this.admits(await this.of(socket));

  /** Whether a user may look or connect without a token. Root can act as the owner anyway. */
  admits(user: LocalUser): boolean {
    return this.#allowOthers || isOwner(user);
  }

  /** Whether a user may do what the host's owner may. Root may do it anyway. */
  owns(user: LocalUser): boolean {
    return isOwner(user);
  }

  /**
   * The tenant of a user's sessions. Each user is a separate tenant. Otherwise one user's uploads and compiled shaders
   * would stay for another user, in a process that both have used.
   *
   * @throws FarlightError UNAUTHORIZED, whose sentence is for that user.
   */
  tenantOf(user: LocalUser): string {
    if (isOwner(user)) return DEFAULT_TENANT;
    if (this.#allowOthers) return user === undefined ? 'uid-unknown' : `uid-${user}`;
    const found =
      user === undefined
        ? 'the host cannot find out which user runs this program'
        : `another user (${user}) than the host's runs this program`;
    throw new FarlightError(
      'UNAUTHORIZED',
      `${found}, and the host serves its own user alone; ask its owner to start it with --require-token and give you a token, ` +
        'or to start it with --allow-local-users',
    );
  }
}

function isOwner(user: LocalUser): boolean {
  return user === OWNER || user === 0;
}
