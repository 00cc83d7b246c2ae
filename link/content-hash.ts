import { type ContentName, toContentName } from '../proto/content.js';
import { sha256 } from './sha256.js';

/** The name of a content: the only place where contents are hashed. */
export function hashContent(bytes: Uint8Array): ContentName {
  return toContentName(sha256(bytes));
}
