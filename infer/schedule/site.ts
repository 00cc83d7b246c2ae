import { largestWithin, type ModelCosts, RESOURCES, type Resource, runTime } from './costs.js';
import { HostState, type LaneState } from './hosts.js';
import { type ModelFile, ModelState } from './models.js';
import type { Capacity, Decision, LaneOptions } from './types.js';

/** The hosts, lanes and models that there are, and the memory that loaded files take. */
export class Site {
  readonly models: Map<string, ModelState> = new Map();
  readonly hosts: Map<string, HostState> = new Map();
  readonly lanes: Map<string, LaneState> = new Map();
  /** The files that lanes load for the models, by name. */
  readonly #files = new Map<string, ModelFile>();
  readonly #decisions: Decision[];

  /** @param decisions gets the files that lanes are to unload. */
  constructor(decisions: Decision[]) {
    this.#decisions = decisions;
  }

  setHost(name: string, capacity: Capacity): void {
    const host = this.hosts.get(name);
    if (host) host.capacity = capacity;
    else this.hosts.set(name, new HostState(name, capacity));
  }

  addLane(name: string, { host: hostName, resource }: LaneOptions): void {
    const host = this.hosts.get(hostName);
    if (!host) throw new Error(`lane ${name} is on host ${hostName}, which is not known`);
    if (this.lanes.has(name)) throw new Error(`there is a lane ${name} already`);
    const lane: LaneState = { name, host, resource, loaded: new Set(), active: undefined };
    this.lanes.set(name, lane);
    host.lanes.push(lane);
  }

  /** The lane is gone, with the files on it. */
  removeLane(lane: LaneState): void {
    const { name, host, loaded } = lane;
    this.lanes.delete(name);
    host.lanes.splice(host.lanes.indexOf(lane), 1);
    for (const { weights } of loaded) host.weights -= weights;
  }

  /** There is such a model from now on, or its costs are known better. */
  setModel(name: string, costs: ModelCosts): void {
    const { weights, load } = costs;
    const model = this.models.get(name);
    const fileName = costs.file ?? name;
    const file = model?.file ?? this.#files.get(fileName) ?? { name: fileName, weights, load, models: 0 };
    for (const { loaded, host } of this.lanes.values()) {
      if (loaded.has(file)) host.weights += weights - file.weights;
    }
    file.weights = weights;
    file.load = load;
    if (model) {
      model.costs = costs;
      model.maxBatch = costs.maxBatch;
    } else {
      this.#files.set(fileName, file);
      file.models += 1;
      this.models.set(name, new ModelState(name, file, costs));
    }
  }

  /** The model is gone. Its file goes with its last model; a lane that runs it unloads it after the run. */
  removeModel({ name, file }: ModelState): void {
    this.models.delete(name);
    file.models -= 1;
    if (file.models > 0) return;
    this.#files.delete(file.name);
    for (const lane of this.lanes.values()) {
      if (lane.active?.model.file !== file) this.unload(lane, file);
    }
  }

  unload(lane: LaneState, file: ModelFile): void {
    if (!lane.loaded.delete(file)) return;
    lane.host.weights -= file.weights;
    this.#decisions.push({ kind: 'unload', lane: lane.name, file: file.name });
  }

  /** A run takes a lane, which loads the file unless it has it. Returns whether it loads it. */
  use(lane: LaneState, file: ModelFile): boolean {
    const isLoaded = lane.loaded.has(file);
    if (!isLoaded) lane.host.weights += file.weights;
    // The most recently used file comes last.
    lane.loaded.delete(file);
    lane.loaded.add(file);
    return !isLoaded;
  }

  /**
   * The memory of the largest host; infinity while no host has memory. Then requests wait for one: the host of functions
   * alone may be left, while a pool has no host for the server.
   */
  get largest(): number {
    let most = 0;
    for (const { capacity } of this.hosts.values()) most = Math.max(most, capacity.limit);
    return most > 0 ? most : Number.POSITIVE_INFINITY;
  }

  /** The most lanes of the resource that a host has. */
  mostLanes(resource: Resource): number {
    let most = 1;
    for (const host of this.hosts.values()) most = Math.max(most, host.laneCount(resource));
    return most;
  }

  /** The time in milliseconds, roughly, that the items which wait for these models take, if the lanes share it. */
  backlogOf(models: Iterable<ModelState>): number {
    const work: Record<Resource, number> = { gpu: 0, cpu: 0, network: 0, shards: 0 };
    for (const { costs, maxBatch, waiting } of models) {
      let batch = 1;
      for (const { capacity } of this.hosts.values()) {
        batch = Math.max(batch, largestWithin(costs.memory, capacity.bytes - costs.weights, maxBatch));
      }
      const { base, perItem } = runTime(costs);
      work[costs.resource] += base * Math.ceil(waiting / batch) + perItem * waiting;
    }
    let longest = 0;
    for (const resource of RESOURCES) {
      let lanes = 0;
      for (const lane of this.lanes.values()) if (lane.resource === resource) lanes += 1;
      longest = Math.max(longest, work[resource] / Math.max(1, lanes));
    }
    return longest;
  }
}
