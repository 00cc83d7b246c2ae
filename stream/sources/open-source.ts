import type { Nats } from '../broker/nats-connection.js';
import type { Definition } from '../definition/definition.js';
import type { FunctionPool } from '../run/function-pool.js';
import { watchFolder } from './folder-source.js';
import { generate } from './generator-source.js';
import { followSubject } from './nats-source.js';
import { PostedRecords } from './posted-records.js';
import { type Feed, type Source, started } from './source.js';
import { playWavs } from './wav-source.js';

export interface SourceHelp {
  /** For generators. */
  readonly functions: FunctionPool;
  /** Sources to which records are posted, by name, while they are open. */
  readonly posted: Map<string, PostedRecords>;
  /** For subjects of NATS. */
  nats(): Promise<Nats>;
  log(message: string): void;
}

/** Checks what can be checked of a source before it is started. @throws Error, FarlightError that says why not (rejects) */
export async function checkSource(
  name: string,
  { sources }: Definition,
  { functions, nats }: Pick<SourceHelp, 'functions' | 'nats'>,
): Promise<void> {
  const source = sources[name];
  if (source?.kind === 'nats') await nats();
  if (source?.kind === 'generator') await functions.check(source.function);
}

/** Starts a source. @throws FarlightError where NATS cannot be had (rejects) */
export async function openSource(
  name: string,
  { sources }: Definition,
  feed: Feed,
  { functions, posted, nats: connect, log }: SourceHelp,
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
    case 'http':
      posted.set(name, new PostedRecords(name, source.types, feed));
      return { close: async () => void posted.delete(name) };
    default:
      return { close: async () => {} };
  }
}
