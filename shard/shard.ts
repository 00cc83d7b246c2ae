import { readFile } from 'node:fs/promises';
import { allocateHosts } from '../client/index.js';
import { constantsOf } from './onnx/constants.js';
import type { Link, Route } from './plan/costs.js';
import { type PlannedModel, type PlanOptions, planModel } from './plan-model.js';
import { whyNotDirect } from './program/pieces.js';
import { programOf } from './program/program-builder.js';
import { HostWorker } from './run/host-worker.js';
import { joinHosts } from './run/join-hosts.js';
import type { Host } from './run/messages.js';
import { type LoadOptions, ShardedModel } from './run/sharded-model.js';

export interface ShardOptions extends Pick<PlanOptions, 'mesh' | 'weights' | 'layers' | 'effort'> {
  /**
   * The addresses of the hosts, as `farlight serve` printed them. `pool://NAME?hosts=4` stands for four hosts of a pool,
   * which are allocated together or not at all, and given back with the model.
   */
  readonly hosts: readonly string[];
  /**
   * Bytes of weights that each host may hold, or one number a host. Without it each host takes its share of the weights,
   * and a tenth of it more.
   */
  readonly memory?: number | readonly number[];
  /** The line between the client and each host; 1 Gbit/s and 1 ms without it. */
  readonly link?: Link;
  /** Operations on numbers that a host does in a second, for the times of the plan. */
  readonly operationsPerSecond?: number;
  /** Sizes of free dimensions by name. Two sizes: it differs from run to run, and the plan is made for the first. */
  readonly dimensions?: Readonly<Record<string, number | readonly [number, number]>>;
  /** Shapes of inputs by name, instead of the dimensions. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Outputs that stay on the hosts, by the name of the input that takes them in the next run. */
  readonly state?: Readonly<Record<string, string>>;
  /**
   * How tensors go from host to host: `direct`, which their owners must allow, or by way of the `client`. Without it they go
   * directly if they can.
   */
  readonly route?: Route;
  /**
   * Whether each host keeps the memory that its part takes, weights and all else, from the start on. Without it memory is
   * taken when it is needed.
   */
  readonly reserve?: boolean;
  /** How many milliseconds a host may take for one stage of a run. Default: two minutes; at most 24 days. */
  readonly timeout?: number;
}

const TIMEOUT_MS = 120_000;
/** The longest time of a timer. */
const LONGEST_MS = 2 ** 31 - 1;
const LINK: Link = { bitsPerSecond: 1e9, roundTrip: 1e-3 };
/** The search's bound where a program waits for the plan. */
const EFFORT = 60_000;
/** How much more than its share of the weights a host holds, if the program names no limit. */
const SPARE = 1.1;

/**
 * Lays a model over several hosts, so that each has a part of its weights, and loads it there. `model` is the path of an
 * ONNX file, or its bytes. Rejects with a RangeError if the model does not fit, and with an Error that names the host if
 * one cannot be reached or fails.
 */
export async function shard(model: string | Uint8Array, options: ShardOptions): Promise<ShardedModel> {
  const { timeout = TIMEOUT_MS } = options;
  if (!(timeout > 0 && timeout <= LONGEST_MS))
    throw new RangeError(
      `a host may take more than 0 and at most ${LONGEST_MS} milliseconds for one stage, and timeout is ${timeout}`,
    );
  const file = typeof model === 'string' ? await readFile(model) : model;
  const { addresses, release } = await allocateHosts(options.hosts);
  const hosts = addresses.map((host) => new HostWorker(host, timeout));
  try {
    const { planned, why } = await planFor(file, hosts, { ...options, hosts: addresses });
    return await load(planned, hosts, { closed: release, whyByClient: why, reserve: options.reserve });
  } catch (error) {
    await Promise.all(hosts.map((host) => host.close()));
    // The first error says why. A pool takes hosts back by itself that could not be released.
    await release().catch(() => {});
    throw error;
  }
}

/** Plans a model for hosts that talk to each other, or by way of the client, with the reason. */
async function planFor(
  file: Uint8Array,
  hosts: readonly Host[],
  options: ShardOptions,
): Promise<{ planned: PlannedModel; why?: string | undefined }> {
  const byClient = async (why?: string) => ({ planned: await planModel(file, planOptions(options)), why });
  if (options.route === 'client' || hosts.length === 1) return byClient();
  const notJoined = await joinHosts(hosts, options.hosts);
  if (notJoined === undefined) {
    const planned = await planModel(file, { ...planOptions(options), route: 'direct' });
    const why = whyNotDirect(planned);
    if (why === undefined) return { planned };
    if (options.route !== 'direct') return byClient(why);
    throw new RangeError(`the hosts cannot send each other all tensors: ${why}`);
  }
  if (options.route !== 'direct') return byClient(notJoined);
  throw new Error(`the hosts cannot send each other tensors: ${notJoined}`);
}

/** Loads a planned model on its hosts. */
export async function load(
  planned: PlannedModel,
  hosts: readonly Host[],
  options: LoadOptions = {},
): Promise<ShardedModel> {
  const { libraries, observed, problem } = planned;
  const constants = await constantsOf(libraries, planned.model, observed, problem.graph.weights);
  const program = programOf(planned, constants);
  await Promise.all(
    hosts.map(async (host, id) => {
      const { weights = 0, activations = 0 } = planned.report.hosts[id] ?? {};
      if (options.reserve) await host.ask({ ask: 'reserve', bytes: weights + activations, weights });
      for (const segment of program.segments)
        if (segment.host === id)
          await host.ask({
            ask: 'load',
            segment: segment.number,
            model: segment.model,
            layout: segment.layout,
          });
      await host.ask({ ask: 'loaded', weights });
    }),
  );
  return new ShardedModel(planned, program, hosts, options);
}

export function planOptions(options: ShardOptions): PlanOptions {
  const { hosts, mesh, weights, layers, effort = EFFORT, memory, link = LINK } = options;
  return {
    hosts: hosts.length,
    ...(mesh && { mesh }),
    ...(weights && { weights }),
    ...(layers !== undefined && { layers }),
    memory: memory ?? { share: SPARE },
    link,
    route: 'client',
    operationsPerSecond: options.operationsPerSecond ?? 1e12,
    dimensions: new Map(Object.entries(options.dimensions ?? {})),
    shapes: new Map(Object.entries(options.shapes ?? {})),
    state: new Map(Object.entries(options.state ?? {})),
    effort,
  };
}
