import type { Socket } from 'node:net';

/** What net has of a connection: its descriptor where the system has those. */
export function handleOf(socket: Socket): { readonly fd?: number } | null {
  return (socket as unknown as { _handle: { fd?: number } | null })._handle;
}
