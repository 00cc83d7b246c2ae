import { statSync } from 'node:fs';
import { inspect } from 'node:util';
import { inferenceTrust, type Trust } from '../../infer/door/trust.js';
import type { Engine } from '../../infer/engine/engine.js';
import type { NamedHosts } from '../../infer/hosts/named-hosts.js';
import { InferenceServer } from '../../infer/inference-server.js';
import { openDashboard } from '../../infer/page/dashboard.js';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { type PageServer, parsePageAddress } from '../../page/page-server.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { harmless } from '../../proto/harmless.js';
import { brief, type Log } from '../../server/observatory/log.js';
import { commandTracing } from '../options/command-tracing.js';
import { namedHosts } from '../options/gpu-place.js';
import { INFERENCE_LIMITS, tenantLimits } from '../options/limit-options.js';
import { type LogOptions, openLog } from '../options/log-option.js';
import { openPage } from '../options/open-page.js';
import { type TrustOptions, trustOptions } from '../options/trust-options.js';
import { hostHere, type RunHost } from '../run/run-host.js';
import { stopped, stopSignal } from '../stop-signal.js';
import { leaveOnnxRuntimeUnoptimised, loadWith } from './load-with.js';

export interface InferOptions extends TrustOptions, LogOptions {
  models?: string;
  host?: string[];
  adapter?: string;
  lanes: number;
  gpuMemory?: number;
  listen: string;
  grpc: string;
  mayLoad?: string[];
  /** False with --no-dashboard. */
  dashboard: string | false;
  maxRequest: number;
  otlp?: string;
  tritonMetrics?: boolean;
  serverName: string;
  runLimit: number;
  drain: number;
}

/** Serves until a signal: the first lets requests end, the second does not. */
export async function serveModels(options: InferOptions): Promise<void> {
  const folder = modelsFolder(options);
  leaveOnnxRuntimeUnoptimised();
  quietGrpc();
  const log = await openLog(options);
  const running = new Running();
  const stop = stopSignal();
  const closed = stopped(stop).then(() => running.close(options.drain * 1000));
  // It may fail before the start ends, and is awaited after it.
  closed.catch(() => {});
  try {
    await running.start(folder, options, log);
    if (!stop.aborted) process.stdout.write(readyLines(running));
  } catch (error) {
    // After a signal during the start everything is closed, and this error is its effect.
    if (!stop.aborted) {
      await running.close(0);
      throw error;
    }
  }
  await closed;
}

/** The folder, if the options that can be checked at once are right. @throws FarlightError BAD_OPTION */
function modelsFolder({ models, host, adapter, dashboard }: InferOptions): string {
  if (models === undefined) {
    throw new FarlightError('BAD_OPTION', 'name the folder of models: farlight infer --models DIR');
  }
  if (!statSync(models, { throwIfNoEntry: false })?.isDirectory()) {
    throw new FarlightError(
      'BAD_OPTION',
      `--models ${models} is not a folder; name one with NAME/1/model.onnx in it`,
    );
  }
  namedHosts({ host, adapter });
  if (dashboard) parsePageAddress(dashboard);
  return models;
}

/** All that was started, and how it ends. */
class Running {
  server: InferenceServer | undefined;
  engine: Engine | undefined;
  /** The address of the page, or why there is none; undefined where the owner wants none. */
  dashboard: string | undefined;
  #page: PageServer | undefined;
  #own: RunHost | undefined;
  #hosts: NamedHosts | undefined;
  #isClosed = false;

  /** @throws FarlightError (rejects). Call `close` even then. */
  async start(folder: string, options: InferOptions, log: Log): Promise<void> {
    const warn = (why: string) => log.warn({ why }, 'trust');
    const trust = inferenceTrust(
      {
        http: options.listen,
        grpc: options.grpc === 'off' ? undefined : options.grpc,
        ...trustOptions(options),
        mayLoad: options.mayLoad,
      },
      warn,
    );
    const tracing = commandTracing(options.otlp, log);
    const { Engine, LearnedStore, NamedHosts, functionHosts, shardHost } = await loadEngine();
    const { lanes, gpuMemory: memory } = options;
    const urls = await this.#urls(options);
    this.#hosts = new NamedHosts({ lanes, memory, log: (what) => log.info({ what }, 'pool') });
    const gpuHosts = await this.#hosts.open(urls);
    if (this.#isClosed) throw ENDED;
    const store = new LearnedStore(gpuHosts.map(({ adapter }) => adapter).join(', '));
    // A stage that takes too long names its host, before the run is too long for the lane.
    const shards = shardHost((options.runLimit * 1000) / 2, this.#hosts.named);
    const hosts = [...gpuHosts, ...functionHosts(), shards];
    const engine = new Engine({
      folder,
      hosts,
      store,
      callLimit: options.runLimit * 1000,
      log: (what) => log.info({ what }, 'engine'),
    });
    this.engine = engine;
    this.#hosts.follow(engine);
    this.server = new InferenceServer({
      service: engine,
      trust,
      name: options.serverName,
      version: packageVersion(),
      limit: options.maxRequest,
      limits: tenantLimits(options, INFERENCE_LIMITS),
      tritonMetrics: options.tritonMetrics,
      tracing,
      onError: (error) => log.error({ error: inspect(error) }, 'a request failed by a bug'),
    });
    await this.server.listen();
    if (options.dashboard) await this.#openDashboard(this.server, options.dashboard, trust, log);
    await engine.loaded;
  }

  /** Opens the owner's page. @throws FarlightError BAD_OPTION */
  async #openDashboard(
    { observatory, metrics }: InferenceServer,
    address: string,
    { users }: Trust,
    log: Log,
  ): Promise<void> {
    const page = openDashboard({
      address,
      observatory,
      metrics,
      mayLook: users.mayLook,
      onError: (error) => log.error({ why: brief(messageOf(error)) }, 'dashboard failed'),
    });
    this.#page = page;
    this.dashboard = await openPage(page, log);
  }

  /** The hosts that are named; without any, one that is started on this machine. */
  async #urls({ host, adapter }: InferOptions): Promise<readonly string[]> {
    const named = namedHosts({ host, adapter });
    if (named.length > 0) return named;
    const own = await hostHere(adapter ?? process.env.FARLIGHT_ADAPTER ?? 'auto');
    this.#own = own;
    if (this.#isClosed) {
      // `close` came before this host was there.
      await own.close();
      throw ENDED;
    }
    return [own.url];
  }

  /** Answers the requests that are there, for at most `graceMs`, and ends everything. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    await this.server?.close(graceMs);
    await this.#page?.close();
    await this.engine?.close();
    await this.#hosts?.close();
    await this.#own?.close();
  }
}

const ENDED = new FarlightError('SHUTTING_DOWN', 'the server was ended while it started');

/** Loads the engine for this command alone: other commands need not wait for it. */
async function loadEngine() {
  return loadWith('onnxruntime-web onnx-buf @bufbuild/protobuf', async () => {
    // Only lanes load it. Without it each model would wait for a lane first, and fail then.
    import.meta.resolve('onnxruntime-web/webgpu');
    const { Engine } = await import('../../infer/engine/engine.js');
    const { LearnedStore } = await import('../../infer/learned/learned-store.js');
    const { functionHosts } = await import('../../infer/hosts/engine-hosts.js');
    const { NamedHosts } = await import('../../infer/hosts/named-hosts.js');
    const { shardHost } = await import('../../infer/hosts/shard-hosts.js');
    return { Engine, LearnedStore, NamedHosts, functionHosts, shardHost };
  });
}

/** The first line has all that a client needs. */
function readyLines({ server, engine, dashboard }: Running): string {
  const broken = engine?.index().filter(({ state }) => state !== 'READY') ?? [];
  const lines = [
    `farlight infer ready: ${server?.urls.join(' ')}`,
    ...(dashboard === undefined ? [] : [`dashboard: ${dashboard}`]),
    ...broken.map(({ name, version, reason = 'it is not loaded' }) =>
      harmless(`not served: ${name} version ${version}: ${reason}`),
    ),
  ];
  return `${lines.join('\n')}\n`;
}
