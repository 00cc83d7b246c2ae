import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { join, resolve } from 'node:path';
import { PROCESS_CLOCK } from '../link/machine/timer.js';
import { codeOf, FarlightError } from '../proto/errors.js';
import type { Nats } from './broker/nats-connection.js';
import type { Definition } from './definition/definition.js';
import { CheckpointStore } from './log/checkpoint-store.js';
import { makeState } from './log/folders.js';
import { RecordLog } from './log/record-log.js';
import { Application, type StoredCheckpoint } from './run/application.js';
import { FunctionPool } from './run/function-pool.js';
import { LaneRunner, type OpenHosts } from './run/lane-runner.js';
import type { ApplicationObserver } from './run/observer.js';
import { SharedRunner } from './run/shared-runner.js';
import { openSink, targetOf } from './sinks/open-sink.js';
import { checkSource, openSource } from './sources/open-source.js';
import type { PostedRecords } from './sources/posted-records.js';

export interface SiteOptions {
  /** The folder of all that must survive: logs, checkpoints, copies of functions. One process uses it at a time. */
  readonly folder: string;
  /** Whether records and outputs survive a power cut, and not only the end of the process. */
  readonly durable: boolean;
  /** Milliseconds from one checkpoint to the next, at least. */
  readonly checkpointEvery: number;
  hosts(): Promise<OpenHosts>;
  /** For sources and sinks at NATS. @throws FarlightError (rejects) */
  nats(): Promise<Nats>;
  readonly observer?: ApplicationObserver;
  log(message: string): void;
}

/** An application that runs. */
export interface Site {
  readonly application: Application;
  /** The source of this name, if records may be posted to it. */
  posted(source: string): PostedRecords | undefined;
  close(): Promise<void>;
}

/** The folder in which modules are copied. */
export function copiesIn(folder: string): string {
  return join(folder, 'functions');
}

/** The file with the records at which a step failed. */
export function errorsIn(folder: string): string {
  return join(folder, 'errors.jsonl');
}

/**
 * Runs an application on this machine, with its state in a folder.
 *
 * @param first makes the version that a new application begins with.
 * @throws Error, FarlightError BUSY where another process runs it (rejects)
 */
export async function openApplication(options: SiteOptions, first: () => Promise<Definition>): Promise<Site> {
  const folder = resolve(options.folder);
  const { durable, checkpointEvery, hosts, nats, observer, log } = options;
  makeState(folder);
  const lock = await lockFolder(folder);
  const lanes = new LaneRunner({ folder: join(folder, 'models'), hosts, log });
  // Sources have threads of their own: a generator must not wait behind the steps that it feeds.
  const generators = new FunctionPool('cpu');
  const posted = new Map<string, PostedRecords>();
  let application: Application | undefined;
  const close = async () => {
    await application?.close();
    await generators.close();
    await lanes.close();
    await new Promise<void>((closed) => (lock ? lock.close(() => closed()) : closed()));
  };
  try {
    application = await Application.open(
      {
        checkpoints: new CheckpointStore<StoredCheckpoint>(join(folder, 'checkpoints')),
        runner: new SharedRunner(lanes),
        clock: PROCESS_CLOCK,
        checkpointEvery,
        observer,
        log,
        openLog: (source, from) => RecordLog.open({ folder: join(folder, 'log', source), durable, from }),
        openSink: (sink, { name: of, sinks }, mark) =>
          openSink(targetOf(sinks[sink]), mark, {
            application: of,
            errorsFile: errorsIn(folder),
            durable,
            nats,
            log,
          }),
        checkSource: (name, definition) => checkSource(name, definition, { functions: generators, nats }),
        openSource: (name, definition, feed) =>
          openSource(name, definition, feed, { functions: generators, posted, nats, log }),
      },
      first,
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { application, posted: (source) => posted.get(source), close };
}

/**
 * Keeps other processes of this machine from the folder. The name is one of Linux's abstract namespace, which no crash
 * leaves behind. Other systems have none: there an epoch that is stored twice shows that there are two processes.
 *
 * @throws FarlightError BUSY (rejects)
 */
export function lockFolder(folder: string): Promise<Server | undefined> {
  if (process.platform !== 'linux') return Promise.resolve(undefined);
  const name = createHash('sha256').update(folder).digest('hex').slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  return new Promise((locked, reject) => {
    server.once('error', (error) => {
      const sentence = `another process runs the application in ${folder}; end it first, or name another folder with --state`;
      reject(codeOf(error) === 'EADDRINUSE' ? new FarlightError('BUSY', sentence, { cause: error }) : error);
    });
    server.listen(`\0farlight-stream-${name}`, () => locked(server));
  });
}
