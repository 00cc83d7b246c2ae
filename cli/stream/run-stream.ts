import { resolve } from 'node:path';
import { inferenceTrust, type Trust } from '../../infer/door/trust.js';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { monotonicNow, steadyTime } from '../../link/machine/clock.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { PROCESS_CLOCK, settledWithin } from '../../link/machine/timer.js';
import { parsePageAddress } from '../../page/page-server.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { brief, type Log } from '../../server/observatory/log.js';
import { LocalUsers } from '../../server/trust/local-users.js';
import { serveControls, type UpgradeAnswer, type UpgradeRequest } from '../../stream/control/control.js';
import type { Front } from '../../stream/front/front.js';
import { openDashboard } from '../../stream/page/dashboard.js';
import type { Application } from '../../stream/run/application.js';
import type { Tally } from '../../stream/statistics/tally.js';
import { leaveOnnxRuntimeUnoptimised } from '../infer/load-with.js';
import { commandTracing } from '../options/command-tracing.js';
import { type LogOptions, openLog } from '../options/log-option.js';
import { openPage } from '../options/open-page.js';
import { type TrustOptions, trustOptions } from '../options/trust-options.js';
import { stopped, stopSignal } from '../stop-signal.js';
import { wholeStream } from './check.js';
import { NatsAccess, type NatsStateFlags } from './nats-options.js';
import { stateFolderOf } from './state-folder.js';
import { type HostFlags, StreamHosts } from './stream-hosts.js';

export interface StreamOptions extends LogOptions, TrustOptions, NatsStateFlags, HostFlags {
  state?: string;
  /** Whether workers of other machines may join. */
  workers?: boolean;
  partitions: number;
  /** False with --no-work. */
  work: boolean;
  /** Seconds. */
  checkpoint: number;
  durable: boolean;
  listen: string;
  /** False with --no-dashboard. */
  dashboard: string | false;
  otlp?: string;
  maxRequest: number;
}

/** How long records that are on their way may take when the application ends, in milliseconds. */
const DRAIN_MS = 10_000;
/** How long requests may go on when the application ends, in milliseconds. */
const GRACE_MS = 5000;

/** Runs an application until a signal, or until it cannot go on. @throws FarlightError (rejects) */
export async function runStream(file: string, options: StreamOptions): Promise<void> {
  if (options.dashboard) parsePageAddress(options.dashboard);
  leaveOnnxRuntimeUnoptimised();
  quietGrpc();
  const log = await openLog(options);
  const stop = stopSignal();
  const hosts = new StreamHosts(options);
  const nats = new NatsAccess(options, stop);
  try {
    await serve(resolve(file), options, { hosts, nats, log, stop });
  } finally {
    await nats.close();
    await hosts.close();
  }
}

interface Running {
  readonly hosts: StreamHosts;
  readonly nats: NatsAccess;
  readonly log: Log;
  readonly stop: AbortSignal;
}

async function serve(
  file: string,
  options: StreamOptions,
  { hosts, nats, log, stop }: Running,
): Promise<void> {
  const { state, durable, checkpoint, maxRequest, otlp } = options;
  const folder = stateFolderOf(file, state);
  const { openApplication, copiesIn, errorsIn, readStream, resolveStream, Front, statistics } =
    await loadApplication();
  const trust = trustOf(options, log);
  const tracing = commandTracing(otlp, log);
  const define = async (path: string) => {
    const { graph, problems } = readStream(path);
    if (graph) return resolveStream(graph, copiesIn(folder));
    throw new FarlightError('BAD_OPTION', problems.map(({ message }) => message).join(' '));
  };
  // A broken file has no id, and so differs from the version that runs.
  const idOf = (path: string) =>
    define(path).then(
      ({ id }) => id,
      () => undefined,
    );
  let front: Front | undefined;
  const tally = new statistics.Tally(steadyTime);
  const observatory = new statistics.Observatory({
    application: () => application,
    tally,
    version: packageVersion(),
    urls: () => (front ? [front.url] : []),
    time: steadyTime,
  });
  const recordObserver = (of: Tally) =>
    new statistics.RecordObserver({ tally: of, now: monotonicNow, tracing });
  const shared = {
    folder,
    durable,
    checkpointEvery: checkpoint * 1000,
    hosts: () => hosts.open(log),
    log: (what: string) => log.info({ what }, 'stream'),
  };
  // Only a new application needs its file: a person sees the places in it.
  const first = async () => resolveStream(await wholeStream(file), copiesIn(folder));
  const coordinate = async () => {
    const { openCoordinator } = await import('../../stream/workers/cluster.js');
    const { partitions, work: works, natsReplicas: replicas } = options;
    const { name } = await wholeStream(file);
    return openCoordinator(
      {
        ...shared,
        nats: await nats.open(),
        application: name,
        replicas,
        partitions,
        works,
        errorsFile: errorsIn(folder),
        coordinatorObserver: new statistics.ClusterObserver(tally, monotonicNow),
        // The workers tell the coordinator of their counts: also the one in this process.
        observer: recordObserver(new statistics.Tally(steadyTime)),
        stop,
      },
      first,
    );
  };
  const { application, posted, close } = options.workers
    ? await coordinate()
    : await openApplication({ ...shared, nats: () => nats.open(), observer: recordObserver(tally) }, first);
  try {
    const upgrade = async (asked: UpgradeRequest, signal: AbortSignal): Promise<UpgradeAnswer> => {
      const isRollback = asked.file === undefined;
      const definition = asked.file === undefined ? await application.previous : await define(asked.file);
      if (!definition)
        throw new FarlightError(
          'BAD_OPTION',
          'the application was never upgraded: there is no version to go back to',
        );
      const words = { ...asked, isRollback };
      const plan = asked.isPlanOnly
        ? await application.plan(definition, words)
        : await application.upgrade(definition, words, signal);
      return { plan, epoch: application.epoch };
    };
    const controls = await serveControls(folder, { status: () => application.status(), upgrade });
    const say = (message: string) => log.warn({ what: message }, 'stream');
    const metrics = new statistics.Metrics(observatory);
    front = trust && new Front({ trust, observatory, metrics, posted, limit: maxRequest, log: say });
    const users = trust?.users ?? new LocalUsers(false);
    const page =
      options.dashboard &&
      openDashboard({
        address: options.dashboard,
        observatory,
        metrics,
        mayLook: users.mayLook,
        onError: (error) => log.error({ why: brief(messageOf(error)) }, 'dashboard failed'),
      });
    try {
      await front?.listen();
      const dashboard = page ? await openPage(page, log) : undefined;
      if (!stop.aborted)
        process.stdout.write(readyLines(application, front?.url, dashboard, await idOf(file)));
      await Promise.race([application.failed, stopped(stop)]);
      // With a checkpoint the next start computes nothing again. A record on a lost host must not hold this up.
      const stored = application
        .checkpoint()
        .catch((error) => say(`no checkpoint was stored: ${messageOf(error)}`));
      await settledWithin(PROCESS_CLOCK, DRAIN_MS, stored);
    } finally {
      await front?.close(GRACE_MS);
      if (page) await page.close();
      await controls.close();
    }
  } finally {
    await close();
    await tracing?.close();
  }
}

function trustOf(options: StreamOptions, log: Log): Trust | undefined {
  if (options.listen === 'off') return undefined;
  const warn = (why: string) => log.warn({ why }, 'trust');
  return inferenceTrust({ http: options.listen, grpc: undefined, ...trustOptions(options) }, warn);
}

/** The first line has all that a sender of records needs. */
function readyLines(
  { definition: { id, name }, epoch }: Pick<Application, 'definition' | 'epoch'>,
  url: string | undefined,
  dashboard: string | undefined,
  idOfFile: string | undefined,
): string {
  const differs =
    'the file says something else than the version that runs: apply it with farlight stream upgrade';
  const address = url === undefined ? '' : ` ${url}`;
  const lines = [
    `farlight stream ready:${address} ${name}, version ${id}, epoch ${epoch}`,
    ...(dashboard === undefined ? [] : [`dashboard: ${dashboard}`]),
    ...(id === idOfFile ? [] : [differs]),
  ];
  return `${lines.join('\n')}\n`;
}

async function loadApplication() {
  const { openApplication, copiesIn, errorsIn } = await import('../../stream/site.js');
  const { readStream } = await import('../../stream/definition/stream-file.js');
  const { resolveStream } = await import('../../stream/definition/resolve.js');
  const { Front } = await import('../../stream/front/front.js');
  const statistics = {
    ...(await import('../../stream/statistics/tally.js')),
    ...(await import('../../stream/statistics/observatory.js')),
    ...(await import('../../stream/statistics/record-observer.js')),
    ...(await import('../../stream/statistics/cluster-observer.js')),
    ...(await import('../../stream/statistics/figures.js')),
  };
  return { openApplication, copiesIn, errorsIn, readStream, resolveStream, Front, statistics };
}
