import type { Definition } from '../definition/definition.js';
import type { FunctionPool } from '../run/function-pool.js';
import { watchFolder } from './folder-source.js';
import { generate } from './generator-source.js';
import type { Feed } from './source.js';
import { type Source, started } from './source.js';
import { playWavs } from './wav-source.js';

/** Starts a source that runs by itself. */
export function openSource(
  name: string,
  { sources }: Definition,
  feed: Feed,
  functions: FunctionPool,
  fail: (error: Error) => void,
): Source {
  const source = sources[name];
  switch (source?.kind) {
    case 'wav':
      return started((signal) => playWavs(source, feed, signal), fail);
    case 'folder':
      return started((signal) => watchFolder(source.folder, feed, signal), fail);
    case 'generator':
      return started((signal) => generate(source, functions, feed, signal), fail);
    default:
      return { close: async () => {} };
  }
}
