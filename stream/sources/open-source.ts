import type { Nats } from '../broker/nats-connection.js';
import type { Definition } from '../definition/definition.js';
import type { FunctionPool } from '../run/function-pool.js';
import { watchFolder } from './folder-source.js';
import { generate } from './generator-source.js';
import { followSubject } from './nats-source.js';
import type { Feed } from './source.js';
import { type Source, started } from './source.js';
import { playWavs } from './wav-source.js';

export interface SourceHelp {
  /** For generators. */
  readonly functions: FunctionPool;
  /** For subjects of NATS. */
  nats(): Promise<Nats>;
  log(message: string): void;
}

/** Starts a source that runs by itself. @throws FarlightError where NATS cannot be had (rejects) */
export async function openSource(
  name: string,
  { sources }: Definition,
  feed: Feed,
  { functions, nats: connect, log }: SourceHelp,
): Promise<Source> {
  const source = sources[name];
  const fail = (error: Error) => log(`source ${name} has ended: ${error.message}`);
  switch (source?.kind) {
    case 'wav':
      return started((signal) => playWavs(source, feed, signal), fail);
    case 'folder':
      return started((signal) => watchFolder(source.folder, feed, signal), fail);
    case 'generator':
      return started((signal) => generate(source, functions, feed, signal), fail);
    case 'nats': {
      const nats = await connect();
      return started((signal) => followSubject(name, source, nats, feed, log, signal), fail);
    }
    default:
      return { close: async () => {} };
  }
}
