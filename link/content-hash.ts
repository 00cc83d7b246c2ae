import { hash } from 'node:crypto';
import { type ContentName, toContentName } from '../proto/content.js';

/**
 * The name of a content: the only place where contents are hashed, and synchronous, because commands
 * are encoded and executed in order. A build for browsers, which have no such function that is
 * synchronous, replaces this module.
 */
export function hashContent(bytes: Uint8Array): ContentName {
  // Copied out of the Buffer, which would keep its pool alive for as long as somebody keeps the name.
  return toContentName(new Uint8Array(hash('sha256', bytes, 'buffer')));
}
