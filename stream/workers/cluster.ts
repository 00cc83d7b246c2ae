import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { PROCESS_CLOCK } from '../../link/machine/timer.js';
import { FarlightError } from '../../proto/errors.js';
import { NatsBroker } from '../broker/nats-broker.js';
import type { Nats } from '../broker/nats-connection.js';
import type { Definition } from '../definition/definition.js';
import { makeState } from '../log/folders.js';
import { FunctionPool } from '../run/function-pool.js';
import { LaneRunner, type OpenHosts } from '../run/lane-runner.js';
import { openSink } from '../sinks/open-sink.js';
import { lockFolder } from '../site.js';
import { checkSource, openSource } from '../sources/open-source.js';
import type { PostedRecords } from '../sources/posted-records.js';
import { Coordinator, type CoordinatorObserver } from './coordinator/coordinator.js';
import { APPLICATION } from './records.js';
import { Versions } from './versions.js';
import { Worker, type WorkerObserver } from './worker.js';

export interface MachineOptions {
  /** A folder of this machine. Functions find packages from here. One process uses it at a time. */
  readonly folder: string;
  readonly nats: Nats;
  /** How many servers of NATS keep each message. */
  readonly replicas: number;
  /** Milliseconds from one checkpoint to the next, at least. */
  readonly checkpointEvery: number;
  hosts(): Promise<OpenHosts>;
  /** Hears of the work of this process. */
  readonly observer?: WorkerObserver;
  /** The worker of this process cannot run the application now, and tries again. Each reason is told once. */
  onProblem?(problem: string): void;
  log(message: string): void;
}

export interface CoordinatorSiteOptions extends MachineOptions {
  readonly application: string;
  /** Of a new application. */
  readonly partitions: number;
  /** Whether outputs in files survive a power cut. */
  readonly durable: boolean;
  /** Whether this process works, too. */
  readonly works: boolean;
  readonly errorsFile: string;
  readonly coordinatorObserver?: CoordinatorObserver;
  readonly stop: AbortSignal;
}

export interface CoordinatorSite {
  readonly application: Coordinator;
  /** The source of this name, if records may be posted to it. */
  posted(source: string): PostedRecords | undefined;
  close(): Promise<void>;
}

/** Coordinates an application on this machine. @throws Error, FarlightError (rejects) */
export async function openCoordinator(
  options: CoordinatorSiteOptions,
  first: () => Promise<Definition>,
): Promise<CoordinatorSite> {
  const { nats, application, replicas, partitions, durable, checkpointEvery, errorsFile, stop, log } =
    options;
  const broker = await NatsBroker.open(nats, application, replicas);
  const folder = resolve(options.folder);
  makeState(folder);
  const lock = await lockFolder(folder);
  let isClosed = false;
  const versions = new Versions(broker, folder, () => isClosed || stop.aborted);
  // Sources have threads of their own: a generator must not wait behind the steps that it feeds.
  const functions = new FunctionPool('cpu');
  const posted = new Map<string, PostedRecords>();
  let coordinator: Coordinator | undefined;
  let working: WorkerSite | undefined;
  const close = async () => {
    // Its partitions go to others while the coordinator still lives.
    await working?.close();
    await coordinator?.close();
    isClosed = true;
    await functions.close();
    lock?.close();
  };
  try {
    coordinator = await Coordinator.open(
      {
        broker,
        id: idOf('coordinator'),
        place: placeOf(folder),
        partitions,
        versions,
        clock: PROCESS_CLOCK,
        storeEvery: checkpointEvery,
        observer: options.coordinatorObserver,
        log,
        checkSource: (name, definition) =>
          checkSource(name, definition, { functions, nats: async () => nats }),
        openSource: (name, definition, feed) =>
          openSource(name, definition, feed, { functions, posted, nats: async () => nats, log }),
        openSink: (target, mark) =>
          openSink(target, mark, { application, errorsFile, durable, nats: async () => nats, log }),
      },
      first,
      stop,
    );
    if (options.works) working = await openWorker({ ...options, folder: join(folder, 'worker') });
  } catch (error) {
    await close();
    throw error;
  }
  return { application: coordinator, posted: (source) => posted.get(source), close };
}

export interface WorkerSite {
  readonly worker: Worker;
  close(): Promise<void>;
}

/** Works for an application that a coordinator runs. @throws FarlightError BAD_OPTION where there is none (rejects) */
export async function openWorker(
  options: MachineOptions & { readonly application: string },
): Promise<WorkerSite> {
  const { nats, application, replicas, checkpointEvery, hosts, onProblem, log } = options;
  const broker = await NatsBroker.open(nats, application, replicas);
  if (!(await broker.read(APPLICATION)))
    throw new FarlightError(
      'BAD_OPTION',
      `there is no application ${application} at this server: start it with farlight stream run FILE --nats URL --workers`,
    );
  const folder = resolve(options.folder);
  makeState(folder);
  const lock = await lockFolder(folder);
  const runner = new LaneRunner({ folder: join(folder, 'models'), hosts, log });
  let isClosed = false;
  const worker = await Worker.open({
    broker,
    id: idOf('worker'),
    machine: { name: machineName(), cores: availableParallelism() },
    runner,
    versions: new Versions(broker, folder, () => isClosed),
    clock: PROCESS_CLOCK,
    observer: options.observer,
    checkpointEvery,
    ...(onProblem && { onProblem }),
    log,
  });
  return {
    worker,
    async close() {
      await worker.close();
      isClosed = true;
      await runner.close();
      lock?.close();
    },
  };
}

/** A name of a process, for the log. Keys of NATS have no other characters. */
function idOf(what: string): string {
  const host = hostname().replaceAll(/[^A-Za-z0-9_-]/g, '-');
  return `${what}-${host}-${process.pid}-${randomUUID().slice(0, 8)}`;
}

/** The folder that this process has locked, with the machine and the network that the lock holds for. */
function placeOf(folder: string): string {
  if (process.platform !== 'linux') return randomUUID();
  return `${machineName()} ${readlinkSync('/proc/self/ns/net')} ${folder}`;
}

/** All containers of a machine have the same one. */
function machineName(): string {
  if (process.platform !== 'linux') return hostname();
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
