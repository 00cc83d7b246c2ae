import type { Resource } from './costs.js';
import { GpuLoad, type GpuRun } from './gpu-load.js';
import type { ModelFile, ModelState } from './models.js';
import type { Portion, Progress } from './requests/progress.js';
import type { Capacity, Run } from './types.js';

/** A run that is under way. */
export interface ActiveRun extends GpuRun {
  readonly run: Run;
  readonly model: ModelState;
  readonly lane: LaneState;
  readonly portions: readonly Portion[];
  /** For each portion, the bytes of its output that stay on the lane after the run. */
  readonly outputs: readonly number[];
  /** Bytes without the weights. */
  readonly memory: number;
  /** How often the lane of its items was lost. */
  readonly losses: number;
  /** Whether nothing else ran on the host when the run began. */
  readonly alone: boolean;
}

export interface LaneState {
  readonly name: string;
  readonly resource: Resource;
  readonly host: HostState;
  /** The files that are loaded, the least recently used first. */
  readonly loaded: Set<ModelFile>;
  active: ActiveRun | undefined;
}

/** In milliseconds. */
const LEAST_LATE = 1;

/** A run that should have ended is held to take as long again as it is late. */
function lateOr(end: number, now: number): number {
  return end < now ? now + (now - end) : end;
}

/** A host's memory and its GPU's time, as this scheduler's lanes use them. */
export class HostState {
  readonly name: string;
  readonly lanes: LaneState[] = [];
  capacity: Capacity;
  /** Bytes of the models that are loaded. */
  weights = 0;
  /** Bytes of the current runs, without the weights. */
  running = 0;
  /** Bytes of outputs that stay between steps. */
  held = 0;
  /** Bytes of outputs that the current runs will leave behind. */
  promised = 0;
  /** Requests that keep outputs here, now or after a current run, with their bytes. The oldest comes first. */
  readonly holders = new Map<Progress, number>();
  /** How many runs the host has now. */
  runs = 0;
  readonly #gpu = new GpuLoad();

  constructor(name: string, capacity: Capacity) {
    this.name = name;
    this.capacity = capacity;
  }

  /** Free bytes; below 0 if the capacity has shrunk. */
  get free(): number {
    return this.capacity.bytes - this.weights - this.running - this.held;
  }

  laneCount(resource: Resource): number {
    let count = 0;
    for (const lane of this.lanes) if (lane.resource === resource) count += 1;
    return count;
  }

  /**
   * Other files than this model's that can be unloaded, with their lanes. Of each lane, the least used comes first. A lane
   * that runs a model cannot unload anything meanwhile.
   */
  *idleFiles(model: ModelState, lane: LaneState): Generator<[LaneState, ModelFile]> {
    for (const each of this.lanes) {
      if (each.active) continue;
      for (const file of each.loaded) {
        if (file.weights > 0 && !(each === lane && file === model.file)) yield [each, file];
      }
    }
  }

  /** When a lane's run is expected to end. */
  endOf(lane: LaneState, now: number): number {
    const { active } = lane;
    if (!active) return now;
    const end = active.gpuMs === 0 ? lateOr(active.reachesGpu, now) : this.#gpu.endOf(active, now);
    return Math.max(now + LEAST_LATE, end);
  }

  began(active: ActiveRun, now: number): void {
    if (active.gpuMs > 0) this.#gpu.began(active, now);
    this.runs += 1;
    this.running += active.memory;
    this.#promise(active, 1);
  }

  /** Frees the memory of a run that has ended, successfully or not. */
  ended(active: ActiveRun, now: number): void {
    this.runs -= 1;
    this.running -= active.memory;
    this.#promise(active, -1);
    active.lane.active = undefined;
    if (active.gpuMs > 0) this.#gpu.ended(active, now);
  }

  /** Adds bytes to what a request keeps on this host, or takes them away. */
  hold(request: Progress, bytes: number): void {
    const held = (this.holders.get(request) ?? 0) + bytes;
    // Less than a byte is a rounding error.
    if (held < 1) this.holders.delete(request);
    else this.holders.set(request, held);
  }

  /** When the GPU is expected to have done the runs that reach it before `reaches`. */
  gpuDone(reaches: number, now: number, planned: readonly GpuRun[] = []): number {
    return this.#gpu.doneAt(reaches, now, planned);
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
