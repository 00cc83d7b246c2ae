import type { Socket } from 'node:net';
import { knowsUsers, ownUser, userAhead } from '../../../link/address/peer-user.js';
import { strangeFile } from '../../../link/address/socket-file.js';
import type { HostAddress } from './host-address.js';
import * as explain from './socket-errors.js';

/**
 * Sees that a connection in plaintext, on which nothing was said yet, leads to this user's host: to a program of this
 * user, of root, or of the user whom the address names. While no host listens at a port of this machine, every other
 * user may.
 *
 * @throws FarlightError UNTRUSTED_HOST, or UNREACHABLE where the connection is gone (rejects).
 */
export async function verifyLocal(socket: Socket, address: HostAddress): Promise<void> {
  if (address.uid === 'any' || ownUser === undefined) return;
  const isTrusted = (uid: number) => uid === ownUser || uid === 0 || uid === address.uid;
  if (address.scheme === 'unix') {
    const strange = strangeFile(address.path, isTrusted);
    if (strange) throw explain.strangeSocket(address, strange);
    return;
  }
  if (!knowsUsers) return;
  // It may fail meanwhile, and nobody else listens.
  socket.on('error', () => {});
  const uid = await userAhead(socket);
  if (socket.destroyed) throw explain.unreachable(address, gone());
  // What leads a connection out of this network was set up by root, as a container engine's.
  if (uid === 'elsewhere' || (uid !== undefined && isTrusted(uid))) return;
  throw explain.otherUser(address, uid);
}

function gone(): NodeJS.ErrnoException {
  return Object.assign(new Error('closed'), { code: 'ECONNRESET' });
}
