import type { Socket } from 'node:net';
import { knowsUsers, ownUser, userBehind } from '../../link/address/peer-user.js';
import { FarlightError } from '../../proto/errors.js';
import { DEFAULT_TENANT } from './token-store.js';

/**
 * The user of this machine whose process has the other end of a connection, by number; undefined where it was looked
 * for and not found.
 */
export type LocalUser = number | undefined;

/**
 * The user that runs this host. So counts whoever the system has let through for that user alone, as on a unix socket of
 * its own, and everybody where no system tells whose a connection is.
 */
export const OWNER: LocalUser = ownUser ?? 0;

/** Tells who of this machine's users may use a host, or see its dashboard, without a token. */
export class LocalUsers {
  readonly #allowOthers: boolean;

  /** `allowOthers` lets users in beside the host's own, and root. */
  constructor(allowOthers: boolean) {
    this.#allowOthers = allowOthers;
  }

  get allowsOthers(): boolean {
    return this.#allowOthers;
  }

  /** Whose process has connected to a loopback port, or to a unix socket. Never rejects. */
  async of(socket: Socket): Promise<LocalUser> {
    return knowsUsers && socket.remoteAddress !== undefined ? userBehind(socket) : OWNER;
  }

  /** Whether a user may, whatever token it has. Root may do as the owner anyway. */
  admits(user: LocalUser): boolean {
    return this.#allowOthers || isOwner(user);
  }

  /**
   * Whose a user's sessions are. Each user is a tenant of its own: what one uploads or has compiled the host would
   * otherwise keep for another, in a process that both have used.
   *
   * @throws FarlightError UNAUTHORIZED, whose sentence is for that user.
   */
  tenantOf(user: LocalUser): string {
    if (isOwner(user)) return DEFAULT_TENANT;
    if (this.#allowOthers) return user === undefined ? 'uid-unknown' : `uid-${user}`;
    const found =
      user === undefined
        ? 'the host cannot tell which user of its machine this program is of'
        : `this program is of another user (${user}) than the host`;
    throw new FarlightError(
      'UNAUTHORIZED',
      `${found}, which takes its own user's alone; have its owner start it with --require-token and give you a token, ` +
        'or with --allow-local-users',
    );
  }
}

function isOwner(user: LocalUser): boolean {
  return user === OWNER || user === 0;
}
