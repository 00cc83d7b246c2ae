import type { FarlightError } from '../proto/errors.js';
import type { AdapterDescription } from '../proto/handshake.js';
import { noSuchAdapter } from '../proto/listed-adapters.js';

/**
 * Why the GPU of a host is not the one that a program names, if it is not. A private host opens what is named; a host
 * has one GPU, which its owner chose.
 */
export function refusalOf(wanted: string, { name, software }: AdapterDescription): FarlightError | undefined {
  // The one that executes nothing calls itself software, too.
  if (wanted === 'auto' || (wanted === 'software' && software && name !== 'null')) return undefined;
  if (name.toLowerCase().includes(wanted.toLowerCase())) return undefined;
  return noSuchAdapter(
    `the host has no GPU that is called "${wanted}"; leave the adapter out, or name what the host has`,
    [{ backend: 'farlight', name }],
  );
}
