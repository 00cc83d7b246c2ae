import { PROCESS_CLOCK } from '../../link/machine/timer.js';
import type { Nats } from '../broker/nats-connection.js';
import type { Definition } from '../definition/definition.js';
import type { FunctionPool } from '../run/function-pool.js';
import { Attempts } from './attempts.js';
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
  const attempts = new Attempts({ name, clock: PROCESS_CLOCK, log });
  switch (source?.kind) {
    case 'wav':
      return started((...tried) => playWavs(source, feed, ...tried), attempts);
    case 'folder':
      return started((...tried) => watchFolder(source.folder, feed, ...tried), attempts);
    case 'generator':
      return started((...tried) => generate(source, functions, feed, ...tried), attempts);
    case 'nats': {
      const nats = await connect();
      return started((...tried) => followSubject(name, source, nats, feed, ...tried), attempts);
    }
    case 'http': {
      const records = new PostedRecords(name, source.types, feed);
      posted.set(name, records);
      return {
        become(definition) {
          if (definition?.kind !== 'http') return false;
          records.become(definition.types);
          return true;
        },
        close: async () => void posted.delete(name),
      };
    }
    default:
      return { close: async () => {} };
  }
}
