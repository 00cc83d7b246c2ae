import { at, type ModelCosts } from '../schedule/costs.js';
import { Heap } from '../schedule/heap.js';
import type { Capacity, Decision, LaneOptions, Outcome, Run, ScheduledRequest } from '../schedule/types.js';
import { HeldOutputs } from './held-outputs.js';
import { SharedGpu } from './shared-gpu.js';

/** Decides which runs start: the scheduler, or another one to compare it with. */
export interface Dispatcher {
  setHost(name: string, capacity: Capacity): void;
  addLane(name: string, options: LaneOptions): void;
  setModel(name: string, costs: ModelCosts): void;
  loseLane(name: string, now: number): void;
  arrive(request: ScheduledRequest, now: number): void;
  cancel(request: number): void;
  complete(run: number, now: number, elements?: readonly number[]): void;
  fail(run: number, now: number, failure: { reason: string; memory?: boolean }): void;
  decide(now: number): Decision[];
  readonly lookAt: number | undefined;
}

export interface SimulatedHost {
  readonly name: string;
  readonly capacity: Capacity;
  readonly lanes: readonly (LaneOptions & { readonly name: string })[];
  /**
   * How runs that are on the GPU at once use it. In order (the default): one after the other, as they reach it. Shared: all
   * at once with an equal share each, as real GPUs do with the sessions of one host.
   */
  readonly gpu?: 'in-order' | 'shared';
}

/** An event at a fixed time, which the dispatcher cannot change. */
export type SimulatedEvent = { readonly at: number } & (
  | { readonly request: ScheduledRequest }
  | { readonly host: string; readonly capacity: Capacity }
  | { readonly cancel: number }
  /** The lane is lost, and is back at once, with nothing loaded. */
  | { readonly lane: string }
);

export interface Simulation {
  readonly dispatcher: Dispatcher;
  readonly hosts: readonly SimulatedHost[];
  readonly models: Readonly<Record<string, ModelCosts>>;
  readonly events: readonly SimulatedEvent[];
  /** How long a run really takes, in milliseconds. Default: as long as the models' costs say, which the dispatcher knows. */
  times?(run: Run): { readonly wait: number; readonly gpu: number };
  /** The number of elements in a slice's output, for steps that run once for each. */
  elements?(slice: Run['slices'][number]): number;
  /** Requests that make each of their runs fail. */
  readonly poison?: ReadonlySet<number>;
  /** Called after each decision, so that tests can look inside. */
  decided?(now: number, decisions: readonly Decision[]): void;
}

export interface SimulatedRun extends Run {
  readonly startedAt: number;
  /** Undefined while it is under way. */
  endedAt: number | undefined;
  /** The run was out of memory, its lane was lost, or one of its requests fails. */
  failed: boolean;
}

export interface SimulationResult {
  /** By request: how it ended, and how long it took. */
  readonly ends: ReadonlyMap<number, { readonly outcome: Outcome; readonly ms: number }>;
  /** When the last request ended. */
  readonly makespan: number;
  readonly runs: readonly SimulatedRun[];
  /** How often a run was out of memory. */
  readonly outOfMemory: number;
  /** By host, the most bytes that were in use at once. */
  readonly peak: ReadonlyMap<string, number>;
}

interface HostNow {
  readonly name: string;
  bytes: number;
  used: number;
  peak: number;
  /** Of a GPU that runs use in order. */
  gpuFreeAt: number;
  /** The runs on a shared GPU. */
  readonly shared: SharedGpu<() => void> | undefined;
}

interface LaneNow {
  readonly options: LaneOptions;
  readonly host: HostNow;
  readonly loaded: Set<string>;
  /** The run that is under way, with its bytes beyond the weights. */
  run: { readonly simulated: SimulatedRun; readonly memory: number } | undefined;
}

/** An event in the future. */
interface Point {
  readonly at: number;
  readonly order: number;
  readonly happens: () => void;
}

/**
 * Simulated hosts and lanes, which take the time and memory of the models' costs. A run first waits for its round trips.
 * Then it uses its host's GPU, by itself or with others. A run that does not fit is out of memory.
 */
export function simulate(simulation: Simulation): SimulationResult {
  return new Machine(simulation).run();
}

class Machine {
  readonly #simulation: Simulation;
  readonly #dispatcher: Dispatcher;
  readonly #points = new Heap<Point>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  readonly #hosts = new Map<string, HostNow>();
  readonly #lanes = new Map<string, LaneNow>();
  readonly #held: HeldOutputs;
  /** By request: its arrival, and how often it began again. After that its earlier runs do not count. */
  readonly #arrived = new Map<number, number>();
  readonly #attempts = new Map<number, number>();
  readonly #ends = new Map<number, { outcome: Outcome; ms: number }>();
  readonly #runs: SimulatedRun[] = [];
  #order = 0;
  #now = 0;
  #outOfMemory = 0;
  #makespan = 0;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    const { dispatcher, hosts, models, events } = simulation;
    this.#dispatcher = dispatcher;
    this.#held = new HeldOutputs(models, (host, bytes) => use(this.#hosts.get(host) as HostNow, bytes));
    for (const { name, capacity, lanes, gpu } of hosts) {
      const shared = gpu === 'shared' ? new SharedGpu<() => void>() : undefined;
      const host: HostNow = { name, bytes: capacity.bytes, used: 0, peak: 0, gpuFreeAt: 0, shared };
      this.#hosts.set(name, host);
      dispatcher.setHost(name, capacity);
      for (const options of lanes) {
        this.#lanes.set(options.name, { options, host, loaded: new Set(), run: undefined });
        dispatcher.addLane(options.name, options);
      }
    }
    for (const [name, costs] of Object.entries(models)) dispatcher.setModel(name, costs);
    for (const event of events) this.#at(event.at, () => this.#happen(event));
  }

  run(): SimulationResult {
    for (;;) {
      const next = this.#points.peek()?.at ?? Number.POSITIVE_INFINITY;
      const look = this.#dispatcher.lookAt ?? Number.POSITIVE_INFINITY;
      if (Math.min(next, look) === Number.POSITIVE_INFINITY) break;
      this.#now = Math.max(this.#now, Math.min(next, look));
      while ((this.#points.peek()?.at ?? Number.POSITIVE_INFINITY) <= this.#now)
        this.#points.pop()?.happens();
      const decisions = this.#dispatcher.decide(this.#now);
      for (const decision of decisions) this.#carryOut(decision);
      this.#simulation.decided?.(this.#now, decisions);
    }
    return {
      ends: this.#ends,
      makespan: this.#makespan,
      runs: this.#runs,
      outOfMemory: this.#outOfMemory,
      peak: new Map([...this.#hosts].map(([name, { peak }]) => [name, peak])),
    };
  }

  #at(time: number, happens: () => void): void {
    this.#points.push({ at: time, order: this.#order++, happens });
  }

  #happen(event: SimulatedEvent): void {
    if ('request' in event) {
      this.#arrived.set(event.request.id, this.#now);
      this.#held.begin(event.request);
      this.#dispatcher.arrive(event.request, this.#now);
    } else if ('host' in event) {
      (this.#hosts.get(event.host) as HostNow).bytes = event.capacity.bytes;
      this.#dispatcher.setHost(event.host, event.capacity);
    } else if ('cancel' in event) {
      this.#held.end(event.cancel);
      this.#dispatcher.cancel(event.cancel);
    } else this.#lose(event.lane);
  }

  #lose(name: string): void {
    const lane = this.#lanes.get(name) as LaneNow;
    for (const model of lane.loaded) use(lane.host, -this.#costs(model).weights);
    lane.loaded.clear();
    if (lane.run) this.#over(lane, true);
    this.#dispatcher.loseLane(name, this.#now);
    this.#dispatcher.addLane(name, lane.options);
  }

  #carryOut(decision: Decision): void {
    if (decision.kind === 'start') this.#start(decision.run);
    else if (decision.kind === 'unload') {
      const { loaded, host } = this.#lanes.get(decision.lane) as LaneNow;
      if (loaded.delete(decision.file)) use(host, -this.#costs(decision.file).weights);
    } else if (decision.kind === 'restart') {
      this.#attempts.set(decision.request, (this.#attempts.get(decision.request) ?? 0) + 1);
      this.#held.restart(decision.request);
    } else {
      const { request, outcome } = decision;
      if (this.#ends.has(request)) throw new Error(`request ${request} ends twice`);
      this.#ends.set(request, { outcome, ms: this.#now - (this.#arrived.get(request) ?? this.#now) });
      this.#makespan = this.#now;
      this.#held.end(request);
    }
  }

  #start(run: Run): void {
    const lane = this.#lanes.get(run.lane) as LaneNow;
    if (lane.run) throw new Error(`lane ${run.lane} runs already`);
    const { host, loaded } = lane;
    const costs = this.#costs(run.model);
    const load = !loaded.has(run.model);
    const memory = at(costs.memory, run.batch);
    const simulated: SimulatedRun = { ...run, startedAt: this.#now, endedAt: undefined, failed: false };
    this.#runs.push(simulated);
    const { wait, gpu } = this.#simulation.times?.(run) ?? {
      wait: at(costs.wait, run.batch),
      gpu: at(costs.gpu, run.batch),
    };
    const reachesGpu = this.#now + wait + (load ? costs.load : 0);
    if (host.used + (load ? costs.weights : 0) + memory > host.bytes) {
      this.#outOfMemory += 1;
      lane.run = { simulated, memory: 0 };
      this.#at(reachesGpu, () => this.#fail(lane, simulated, { reason: 'out of memory', memory: true }));
      return;
    }
    if (load) use(host, costs.weights);
    loaded.add(run.model);
    use(host, memory);
    lane.run = { simulated, memory };
    const attempts = run.slices.map(({ request }) => this.#attempts.get(request));
    this.#at(reachesGpu, () => this.#useGpu(host, gpu, () => this.#end(lane, simulated, attempts)));
  }

  /** A run has reached the GPU and takes so much of its time. */
  #useGpu(host: HostNow, ms: number, ends: () => void): void {
    if (ms === 0) this.#at(this.#now, ends);
    else if (host.shared) {
      // Runs that end now have not taken their last moment from this one.
      for (const end of host.shared.take(this.#now)) end();
      host.shared.add(ends, ms, this.#now);
      this.#watch(host.shared);
    } else {
      host.gpuFreeAt = Math.max(host.gpuFreeAt, this.#now) + ms;
      this.#at(host.gpuFreeAt, ends);
    }
  }

  /** Looks at a shared GPU when its next run ends. A run that reaches it before delays that end. */
  #watch(shared: SharedGpu<() => void>): void {
    const end = shared.nextEnd;
    if (end === undefined) return;
    this.#at(end, () => {
      if (shared.nextEnd !== end) return;
      for (const ends of shared.take(this.#now)) ends();
      this.#watch(shared);
    });
  }

  #end(lane: LaneNow, simulated: SimulatedRun, attempts: readonly (number | undefined)[]): void {
    if (lane.run?.simulated !== simulated) return;
    const { poison, elements } = this.#simulation;
    const { slices, id } = simulated;
    if (slices.some(({ request }) => poison?.has(request))) {
      this.#fail(lane, simulated, { reason: 'an item was not to its liking' });
      return;
    }
    this.#over(lane, false);
    const counts = slices.map((slice) => elements?.(slice) ?? 0);
    for (const [index, slice] of slices.entries()) {
      if (this.#attempts.get(slice.request) !== attempts[index]) continue;
      this.#held.done(slice, lane.host.name, counts[index] as number);
    }
    this.#dispatcher.complete(id, this.#now, counts);
  }

  #fail(lane: LaneNow, simulated: SimulatedRun, failure: { reason: string; memory?: boolean }): void {
    if (lane.run?.simulated !== simulated) return;
    this.#over(lane, true);
    this.#dispatcher.fail(simulated.id, this.#now, failure);
  }

  /** The run of a lane has ended. */
  #over(lane: LaneNow, failed: boolean): void {
    const { simulated, memory } = lane.run as NonNullable<LaneNow['run']>;
    simulated.endedAt = this.#now;
    simulated.failed = failed;
    use(lane.host, -memory);
    lane.run = undefined;
  }

  #costs(model: string): ModelCosts {
    return this.#simulation.models[model] as ModelCosts;
  }
}

function use(host: HostNow, bytes: number): void {
  host.used += bytes;
  host.peak = Math.max(host.peak, host.used);
}
