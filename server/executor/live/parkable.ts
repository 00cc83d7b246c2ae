import type { DecodedCommand } from '../wire/decoded-command.js';
import { Copyable } from './copyable.js';
import { LiveObjects, type Named } from './live-objects.js';

/** The most memory that the notes of one session may take, in bytes. With more the session is not parked any more. */
const MOST_BYTES = 256 << 20;

/** A range of a buffer that is mapped for reading. */
export interface MappedRange {
  readonly offset: number;
  readonly size: number;
}

/** The notes that a session keeps of its objects, so that it can be parked. */
export interface Parkable {
  readonly live: LiveObjects<DecodedCommand>;
  readonly copyable: Copyable;
  /** The range of each buffer that was mapped for reading last. */
  readonly mapped: WeakMap<GPUBuffer, MappedRange>;
}

/** @param table the session's objects. */
export function parkable(table: { readonly entries: Iterable<Named> }): Parkable {
  return { live: new LiveObjects(table, MOST_BYTES), copyable: new Copyable(), mapped: new WeakMap() };
}
