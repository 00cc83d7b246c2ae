import type { Resource } from './costs.js';
import type { ModelState } from './models.js';
import type { Portion, Progress } from './progress.js';
import type { Capacity, Run } from './types.js';

/** A run that is under way. */
export interface ActiveRun {
  readonly run: Run;
  readonly model: ModelState;
  readonly lane: LaneState;
  readonly portions: readonly Portion[];
  /** For each portion, bytes of its output that will stay on the lane. */
  readonly outputs: readonly number[];
  /** Bytes beyond the weights. */
  readonly memory: number;
  /** When it is expected to reach the GPU, and the GPU's time that it takes then. */
  readonly reachesGpu: number;
  readonly gpuMs: number;
  /** How often the lane of its items was lost. */
  readonly losses: number;
  /** Nothing else ran on the host when it began. */
  readonly alone: boolean;
}

export interface LaneState {
  readonly name: string;
  readonly resource: Resource;
  readonly host: HostState;
  /** The models that are loaded, the least recently used first. */
  readonly loaded: Set<ModelState>;
  active: ActiveRun | undefined;
}

/** A host's memory and its GPU's time, as this scheduler's lanes use them. */
export class HostState {
  readonly name: string;
  readonly lanes: LaneState[] = [];
  capacity: Capacity;
  /** Bytes of the models that are loaded. */
  weights = 0;
  /** Bytes of runs that are under way, beyond the weights. */
  running = 0;
  /** Bytes of outputs that stay between steps. */
  held = 0;
  /** Bytes of outputs that the runs under way will leave. */
  promised = 0;
  /** Requests whose outputs stay here, or will, with their bytes: the oldest first. */
  readonly holders = new Map<Progress, number>();
  /** How many runs are under way. */
  runs = 0;
  /** Runs that use the GPU, in the order in which they reach it. */
  readonly #gpuRuns: ActiveRun[] = [];
  /** When the GPU was last done with a run. */
  #gpuSince = 0;

  constructor(name: string, capacity: Capacity) {
    this.name = name;
    this.capacity = capacity;
  }

  /** Bytes that nothing has; below 0 where the capacity has shrunk. */
  get free(): number {
    return this.capacity.bytes - this.weights - this.running - this.held;
  }

  laneCount(resource: Resource): number {
    let count = 0;
    for (const lane of this.lanes) if (lane.resource === resource) count += 1;
    return count;
  }

  /** Models that could be unloaded, with their lanes, without the one that is to run: of each lane the least used first. */
  *idleModels(model: ModelState, lane: LaneState): Generator<[LaneState, ModelState]> {
    for (const each of this.lanes) {
      for (const loaded of each.loaded) {
        if (each.active?.model === loaded || (each === lane && loaded === model)) continue;
        if (loaded.costs.weights > 0) yield [each, loaded];
      }
    }
  }

  /** When a lane's run is expected to end. */
  endOf(lane: LaneState, now: number): number {
    const { active } = lane;
    if (!active) return now;
    return Math.max(now, active.gpuMs === 0 ? active.reachesGpu : this.gpuDone(active.reachesGpu, now));
  }

  began(active: ActiveRun): void {
    if (active.gpuMs > 0) {
      const behind = this.#gpuRuns.findIndex(({ reachesGpu }) => reachesGpu > active.reachesGpu);
      this.#gpuRuns.splice(behind < 0 ? this.#gpuRuns.length : behind, 0, active);
    }
    this.runs += 1;
    this.running += active.memory;
    this.#promise(active, 1);
  }

  /** A run is over, well or not: what it had is free. */
  ended(active: ActiveRun, now: number): void {
    this.runs -= 1;
    this.running -= active.memory;
    this.#promise(active, -1);
    active.lane.active = undefined;
    if (active.gpuMs === 0) return;
    this.#gpuSince = now;
    this.#gpuRuns.splice(this.#gpuRuns.indexOf(active), 1);
  }

  /** A request has so many bytes more, or less, on this host. */
  hold(request: Progress, bytes: number): void {
    const held = (this.holders.get(request) ?? 0) + bytes;
    // Less than a byte is what rounding has left.
    if (held < 1) this.holders.delete(request);
    else this.holders.set(request, held);
  }

  /** When the GPU is expected to be done with the runs that reach it until `reaches`: it has them in that order. */
  gpuDone(reaches: number, now: number): number {
    let done = this.#gpuSince;
    // One that should be done and is not is done at any moment.
    for (const { reachesGpu, gpuMs } of this.#gpuRuns) {
      if (reachesGpu > reaches) break;
      done = Math.max(done, reachesGpu) + gpuMs;
    }
    return Math.max(done, now);
  }

  #promise({ portions, outputs }: ActiveRun, sign: 1 | -1): void {
    for (const [at, { task }] of portions.entries()) {
      const bytes = outputs[at] as number;
      if (bytes === 0) continue;
      this.promised += sign * bytes;
      this.hold(task.request, sign * bytes);
    }
  }
}
