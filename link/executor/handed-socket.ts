import type { Socket } from 'node:net';
import { invariant } from '../../proto/errors.js';

/**
 * Stops reading a connection, so that later bytes stay in the system for the process or object that gets it. Returns the
 * bytes that were already read. A paused socket reads on until its buffer is full, and net has no public way to stop it.
 */
export function stopReading(socket: Socket): Uint8Array {
  const read: Buffer | null = socket.read();
  const { _handle: handle } = socket as unknown as { _handle?: { reading: boolean; readStop(): number } };
  // A socket without a handle is closed already.
  if (handle) {
    invariant(typeof handle.readStop === 'function', "net keeps a socket's handle elsewhere than expected");
    handle.reading = false;
    handle.readStop();
  }
  return read ?? new Uint8Array(0);
}

/** The opposite of `stopReading`: the socket is read here again, and its end is noticed. */
export function startReading(socket: Socket): void {
  const { _handle: handle } = socket as unknown as { _handle?: { reading: boolean; readStart(): number } };
  if (!handle) return;
  handle.reading = true;
  handle.readStart();
}
