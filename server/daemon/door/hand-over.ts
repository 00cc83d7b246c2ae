import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { invariant } from '../../../proto/errors.js';
import type { SessionEnd } from '../../../proto/handshake.js';
import type { Bridges } from './bridges.js';

/**
 * Has a connection taken in a form that another process can be given: as it is, or as the end of a bridge to it.
 *
 * @param bridges are there where a connection may be one that cannot be given away.
 * @param use takes it, now or in a later turn of the event loop. It returns false where nobody wants it any more; the
 *   connection is then the caller's own again.
 * @param failed is called instead where there is no bridge to be had, or the connection is gone meanwhile.
 */
export function handOver(
  connection: Duplex,
  bridges: Bridges | undefined,
  use: (socket: Socket) => boolean,
  failed: (end: SessionEnd) => void,
): void {
  // What it sends and gets is a descriptor's own, and not of this process's making.
  if (connection instanceof Socket && !(connection instanceof TLSSocket)) {
    use(connection);
    return;
  }
  invariant(bridges, 'there are bridges for what cannot be handed over');
  bridges.carry(connection, use, (cause) => {
    const message = `the host cannot pass the connection on to its GPU process (${cause.message}); have it started again`;
    failed({ code: 'EXECUTOR_LOST', message });
  });
}
