import { resolve } from 'node:path';
import { inferenceTrust, type Trust } from '../../infer/door/trust.js';
import { quietGrpc } from '../../link/grpc/grpc.js';
import { setTimeout } from '../../link/machine/clock.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { redact } from '../../proto/token.js';
import type { Log } from '../../server/observatory/log.js';
import { serveControls, type UpgradeAnswer, type UpgradeRequest } from '../../stream/control/control.js';
import type { Application } from '../../stream/run/application.js';
import { leaveOnnxRuntimeUnoptimised, loadWith } from '../infer/load-with.js';
import { type LogOptions, openLog } from '../options/log-option.js';
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
  maxRequest: number;
}

/** How long records that are on their way may take when the application ends, in milliseconds. */
const DRAIN_MS = 10_000;
/** How long requests may go on when the application ends, in milliseconds. */
const GRACE_MS = 5000;

/** Runs an application until a signal, or until it cannot go on. @throws FarlightError (rejects) */
export async function runStream(file: string, options: StreamOptions): Promise<void> {
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
  const { state, durable, checkpoint, maxRequest } = options;
  const folder = stateFolderOf(file, state);
  const { openApplication, copiesIn, readStream, resolveStream, Front } = await loadApplication();
  const trust = trustOf(options, log);
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
  const { application, posted, close } = await openApplication(
    {
      folder,
      durable,
      checkpointEvery: checkpoint * 1000,
      hosts: () => hosts.open(),
      nats: () => nats.open(),
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
    const status = () => application.status();
    const controls = await serveControls(folder, { status, upgrade });
    const say = (message: string) => log.warn({ what: message }, 'stream');
    const front = trust && new Front({ trust, status, posted, limit: maxRequest, log: say });
    try {
      await front?.listen();
      if (!stop.aborted) process.stdout.write(readyLine(application, front?.url, await idOf(file)));
      await Promise.race([application.failed, stopped(stop)]);
      // The next start begins here, and computes nothing again. A record whose host is lost must not hold this up.
      const stored = application
        .checkpoint()
        .catch((error) => say(`no checkpoint was stored: ${messageOf(error)}`));
      await Promise.race([stored, new Promise((resolve) => setTimeout(resolve, DRAIN_MS).unref())]);
    } finally {
      await front?.close(GRACE_MS);
      await controls.close();
    }
  } finally {
    await close();
  }
}

function trustOf(options: StreamOptions, log: Log): Trust | undefined {
  if (options.listen === 'off') return undefined;
  const warn = (why: string) => log.warn({ why }, 'trust');
  return inferenceTrust({ http: options.listen, grpc: undefined, ...trustOptions(options) }, warn);
}

function readyLine(
  { definition: { id, name }, epoch }: Application,
  url: string | undefined,
  idOfFile: string | undefined,
): string {
  const differs =
    id === idOfFile
      ? ''
      : 'the file says something else than the version that runs: apply it with farlight stream upgrade\n';
  const address = url === undefined ? '' : ` ${url}`;
  return `farlight stream ready:${address} ${name}, version ${id}, epoch ${epoch}\n${differs}`;
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

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  async open() {
    const { host, adapter, lanes } = this.#options;
    const { gpuHost } = await loadLanes();
    let urls = host ?? (process.env.FARLIGHT_HOST ? [process.env.FARLIGHT_HOST] : []);
    if (urls.length === 0) {
      this.#own ??= await hostHere(adapter ?? process.env.FARLIGHT_ADAPTER ?? 'auto');
      urls = [this.#own.url];
    }
    const hosts = await Promise.all(
      urls.map((url) => gpuHost({ host: url, name: redact(url), lanes, memory: undefined })),
    );
    return { hosts, adapter: hosts.map((each) => each.adapter).join(', ') };
  }

  async close(): Promise<void> {
    await this.#own?.close();
  }
}

async function loadApplication() {
  const load = async () => {
    const { openApplication, copiesIn } = await import('../../stream/site.js');
    const { readStream } = await import('../../stream/definition/stream-file.js');
    const { resolveStream } = await import('../../stream/definition/resolve.js');
    const { Front } = await import('../../stream/front/front.js');
    return { openApplication, copiesIn, readStream, resolveStream, Front };
  };
  return loadWith('yaml ajv', load, 'stream');
}

async function loadLanes() {
  const load = async () => {
    import.meta.resolve('onnxruntime-web/webgpu');
    return import('../../infer/hosts/engine-hosts.js');
  };
  return loadWith('onnxruntime-web onnx-buf @bufbuild/protobuf', load, 'stream');
}
