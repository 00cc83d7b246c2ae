import type { DecodedCommand } from '../wire/decoded-command.js';
import { Copyable } from './copyable.js';
import { LiveObjects } from './live-objects.js';

/** The most memory that the notes of one session may take, in bytes. With more the session is not parked any more. */
const MOST_BYTES = 256 << 20;

/** The notes that a session keeps of its objects, so that it can be parked. */
export interface Parkable {
  readonly live: LiveObjects<DecodedCommand>;
  readonly copyable: Copyable;
}

export function parkable(): Parkable {
  return { live: new LiveObjects(MOST_BYTES), copyable: new Copyable() };
}
