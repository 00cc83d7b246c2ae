import { resolve } from 'node:path';
import { registeredTelemetry } from '../../client/observers/open-telemetry.js';
import { inferenceTrust, type Trust } from '../../infer/door/trust.js';
import type { NamedHosts } from '../../infer/hosts/named-hosts.js';
import { openTracing } from '../../infer/tracing/open-tracing.js';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { monotonicNow, setTimeout, steadyTime } from '../../link/machine/clock.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { parsePageAddress } from '../../page/page-server.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { brief, type Log } from '../../server/observatory/log.js';
import { LocalUsers } from '../../server/trust/local-users.js';
import { serveControls, type UpgradeAnswer, type UpgradeRequest } from '../../stream/control/control.js';
import type { Front } from '../../stream/front/front.js';
import { openDashboard } from '../../stream/page/dashboard.js';
import type { Application } from '../../stream/run/application.js';
import type { OpenHosts } from '../../stream/run/lane-runner.js';
import { leaveOnnxRuntimeUnoptimised, loadWith } from '../infer/load-with.js';
import { type LogOptions, openLog } from '../options/log-option.js';
import { openPage } from '../options/open-page.js';
import { type TrustOptions, trustOptions } from '../options/trust-options.js';
import { hostHere, type RunHost } from '../run/run-host.js';
import { wholeStream } from './check.js';
import { NatsAccess, type NatsFlags } from './nats-options.js';
import { stateFolderOf } from './state-folder.js';

export interface StreamOptions extends LogOptions, TrustOptions, NatsFlags {
  state?: string;
  host?: string[];
  adapter?: string;
  lanes: number;
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
  const stop = new AbortController();
  const end = () => {
    // A second signal: the person does not want to wait.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  const hosts = new Hosts(options);
  const nats = new NatsAccess(options);
  try {
    await serve(resolve(file), options, { hosts, nats, log, stop: stop.signal });
  } finally {
    await nats.close();
    await hosts.close();
  }
}

interface Running {
  readonly hosts: Hosts;
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
  const { openApplication, copiesIn, readStream, resolveStream, Front, Observatory, Metrics } =
    await loadApplication();
  const trust = trustOf(options, log);
  const tracing = openTracing({
    address: otlp,
    api: registeredTelemetry(),
    env: process.env,
    version: packageVersion(),
    warn: (why) => log.warn({ why }, 'no spans'),
  });
  const define = async (path: string) => {
    const { graph, problems } = readStream(path);
    if (graph) return resolveStream(graph, copiesIn(folder));
    throw new FarlightError('BAD_OPTION', problems.map(({ message }) => message).join(' '));
  };
  // A file that is broken by now is another one, too.
  const idOf = (path: string) =>
    define(path).then(
      ({ id }) => id,
      () => undefined,
    );
  let front: Front | undefined;
  const observatory = new Observatory({
    application: () => application,
    version: packageVersion(),
    urls: () => (front ? [front.url] : []),
    now: monotonicNow,
    time: steadyTime,
    tracing,
  });
  const { application, posted, close } = await openApplication(
    {
      folder,
      durable,
      checkpointEvery: checkpoint * 1000,
      hosts: () => hosts.open(log),
      nats: () => nats.open(),
      observer: observatory,
      log: (what) => log.info({ what }, 'stream'),
    },
    // Only a new application needs its file: a person sees the places in it.
    async () => resolveStream(await wholeStream(file), copiesIn(folder)),
  );
  try {
    const upgrade = async (asked: UpgradeRequest, signal: AbortSignal): Promise<UpgradeAnswer> => {
      const definition = asked.file === undefined ? application.previous : await define(asked.file);
      if (!definition) throw new FarlightError('BAD_OPTION', 'there is no version before the one that runs');
      const plan = asked.isPlanOnly
        ? application.plan(definition, asked)
        : await application.upgrade(definition, asked, signal);
      return { plan, epoch: application.epoch };
    };
    const controls = await serveControls(folder, { status: () => application.status(), upgrade });
    const say = (message: string) => log.warn({ what: message }, 'stream');
    const metrics = new Metrics(observatory);
    front = trust && new Front({ trust, observatory, metrics, posted, limit: maxRequest, log: say });
    const users = trust?.users ?? new LocalUsers(false);
    const page =
      options.dashboard &&
      openDashboard({
        address: options.dashboard,
        observatory,
        metrics,
        mayLook: async (socket) => users.admits(await users.of(socket)),
        onError: (error) => log.error({ why: brief(messageOf(error)) }, 'dashboard failed'),
      });
    try {
      await front?.listen();
      const dashboard = page ? await openPage(page, log) : undefined;
      if (!stop.aborted)
        process.stdout.write(readyLines(application, front?.url, dashboard, await idOf(file)));
      await Promise.race([application.failed, stopped(stop)]);
      // The next start begins here, and computes nothing again. A record whose host is lost must not hold this up.
      const stored = application
        .checkpoint()
        .catch((error) => say(`no checkpoint was stored: ${messageOf(error)}`));
      await Promise.race([stored, new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())]);
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
  { definition: { id, name }, epoch }: Application,
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

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** GPU hosts, those that are named or one of this machine. They are opened when a model needs them. */
class Hosts {
  readonly #options: StreamOptions;
  #own: RunHost | undefined;
  #named: NamedHosts | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  async open(log: Log): Promise<OpenHosts> {
    const { host, adapter, lanes } = this.#options;
    const { NamedHosts } = await loadLanes();
    let urls = host ?? (process.env.FARLIGHT_HOST ? [process.env.FARLIGHT_HOST] : []);
    if (urls.length === 0) {
      this.#own ??= await hostHere(adapter ?? process.env.FARLIGHT_ADAPTER ?? 'auto');
      urls = [this.#own.url];
    }
    const named = new NamedHosts({ lanes, log: (what) => log.info({ what }, 'pool') });
    this.#named = named;
    const hosts = await named.open(urls);
    return {
      hosts,
      adapter: hosts.map((each) => each.adapter).join(', '),
      follow: (engine) => named.follow(engine),
    };
  }

  async close(): Promise<void> {
    await this.#named?.close();
    await this.#own?.close();
  }
}

async function loadApplication() {
  const load = async () => {
    const { openApplication, copiesIn } = await import('../../stream/site.js');
    const { readStream } = await import('../../stream/definition/stream-file.js');
    const { resolveStream } = await import('../../stream/definition/resolve.js');
    const { Front } = await import('../../stream/front/front.js');
    const { Observatory } = await import('../../stream/statistics/observatory.js');
    const { Metrics } = await import('../../stream/statistics/figures.js');
    return { openApplication, copiesIn, readStream, resolveStream, Front, Observatory, Metrics };
  };
  return loadWith('yaml ajv', load, 'stream');
}

async function loadLanes() {
  const load = async () => {
    import.meta.resolve('onnxruntime-web/webgpu');
    return import('../../infer/hosts/named-hosts.js');
  };
  return loadWith('onnxruntime-web onnx-buf @bufbuild/protobuf', load, 'stream');
}
