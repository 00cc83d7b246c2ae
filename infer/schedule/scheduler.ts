import type { Candidate } from './choice.js';
import { at, type ModelCosts, type Resource } from './costs.js';
import type { ActiveRun } from './hosts.js';
import { POLICY, type Policy } from './policy.js';
import { OpenRequests } from './requests/open-requests.js';
import { Round } from './round.js';
import { Site } from './site.js';
import type { Capacity, Decision, LaneOptions, Run, ScheduledRequest } from './types.js';

/** A delay counts for at most ten times as many requests as wait now, however busy the scheduler is. */
const MOST_BUSY = 0.9;

/**
 * Decides which model runs next, with how many items, and on which lane. It looks at the memory that is free now and at
 * the requests that wait now. It does no I/O and has no clock: its methods report events, and `decide` returns the
 * actions.
 *
 * - A run takes no more memory than its host has free. So no run is out of memory as long as the costs are right.
 * - A request whose outputs stay on a host begins only if the host can finish all such requests.
 * - A request that has waited too long goes first, and the scheduler keeps memory for it.
 *
 * Times are milliseconds of a steady clock, which the methods are given. Call `decide` at `lookAt`, if no event comes
 * before.
 */
export class Scheduler {
  readonly #policy: Policy;
  /** The actions that the next `decide` returns. */
  readonly #decisions: Decision[] = [];
  readonly #site = new Site(this.#decisions);
  readonly #requests: OpenRequests;
  readonly #runs = new Map<number, ActiveRun>();
  #runsStarted = 0;
  #lookAt: number | undefined;
  /** The share of the recent time in which there was work, and the time of the last look. */
  #busy = 0;
  #busyUntil: number | undefined;
  #hadWork = false;

  constructor(policy: Partial<Policy> = {}) {
    this.#policy = { ...POLICY, ...policy };
    this.#requests = new OpenRequests(this.#site, this.#decisions, this.#policy.maxRequests);
  }

  /** When to call `decide` next, if no event comes before. Undefined if only an event can change the decision. */
  get lookAt(): number | undefined {
    return this.#lookAt;
  }

  /** How many requests wait or run. */
  get requests(): number {
    return this.#requests.size;
  }

  /** The waiting work in milliseconds, roughly, if the lanes share it. */
  get backlog(): number {
    return this.#site.backlogOf(this.#requests.wanted);
  }

  /** How many runs are under way. */
  get running(): number {
    return this.#runs.size;
  }

  /** How many items wait for a model. */
  waitingFor(model: string): number {
    return this.#site.models.get(model)?.waiting ?? 0;
  }

  /** The bytes of a host's memory, by use. */
  memoryOf(host: string): { weights: number; running: number; held: number } | undefined {
    const state = this.#site.hosts.get(host);
    return state && { weights: state.weights, running: state.running, held: state.held };
  }

  /** The names of the files that are loaded on a lane, the least recently used first. */
  loadedOn(lane: string): string[] {
    return [...(this.#site.lanes.get(lane)?.loaded ?? [])].map(({ name }) => name);
  }

  /** A host has joined, or its capacity has changed. */
  setHost(name: string, capacity: Capacity): void {
    this.#site.setHost(name, capacity);
  }

  addLane(name: string, options: LaneOptions): void {
    this.#site.addLane(name, options);
  }

  /** A lane is lost, with everything on it. Its items run elsewhere. */
  loseLane(name: string, now: number, reason: string = `Lane ${name} was lost.`): void {
    const lane = this.#site.lanes.get(name);
    if (!lane) return;
    const { active } = lane;
    this.#requests.restartOn(name, now);
    if (active) this.#ended(active.run.id, now);
    this.#site.removeLane(lane);
    if (active) this.#requests.runElsewhere(active, reason);
  }

  /** A host is lost, with its lanes. */
  loseHost(name: string, now: number): void {
    const host = this.#site.hosts.get(name);
    if (!host) return;
    for (const lane of [...host.lanes]) this.loseLane(lane.name, now);
    this.#site.hosts.delete(name);
  }

  /** Requests may use this model from now on, or its costs are known better. */
  setModel(name: string, costs: ModelCosts): void {
    this.#site.setModel(name, costs);
    this.#requests.costs.changed();
  }

  /** Removes a model. Its runs finish, and requests that still need the model are refused. */
  removeModel(name: string): void {
    const model = this.#site.models.get(name);
    if (!model) return;
    this.#requests.endWithout(model);
    this.#site.removeModel(model);
    this.#requests.costs.changed();
  }

  arrive(request: ScheduledRequest, now: number): void {
    this.#requests.arrive(request, now);
  }

  /** Cancels a request. `decide` returns no `end` for it. */
  cancel(id: number): void {
    this.#requests.cancel(id);
  }

  /**
   * A run has succeeded. `elements` has the number of elements in the output of each slice. Steps that run once for each
   * element need it.
   */
  complete(id: number, now: number, elements?: readonly number[]): void {
    const active = this.#ended(id, now);
    if (!active) return;
    this.#requests.ran(active, now, elements);
    const { lane, model } = active;
    if (model.file.models === 0) this.#site.unload(lane, model.file);
  }

  /**
   * A run has failed, because it was out of memory or for another reason. Its items run again in two halves. So in the
   * end an item that is the reason fails alone. `whole`: no item is the reason, and all of them fail.
   */
  fail(
    id: number,
    now: number,
    { reason, memory = false, whole = false }: { reason: string; memory?: boolean; whole?: boolean },
  ): void {
    const active = this.#ended(id, now);
    if (!active) return;
    const { run, model, lane } = active;
    if (run.load || model.file.models === 0) this.#site.unload(lane, model.file);
    if (memory) model.maxBatch = Math.max(1, Math.min(model.maxBatch, run.batch >> 1));
    if (whole) this.#requests.failAll(active, reason);
    // Other runs on the host may have used the memory.
    else if (memory && run.batch === 1 && !active.alone)
      this.#requests.queueAgain(active.model, active.portions, active.losses, true);
    else this.#requests.runInHalves(active, reason);
  }

  /** A run could not begin, because other programs have the memory. Its items wait again. */
  putBack(id: number, now: number): void {
    const active = this.#ended(id, now);
    if (!active) return;
    const { run, model, lane } = active;
    if (run.load) this.#site.unload(lane, model.file);
    this.#requests.queueAgain(model, active.portions, active.losses, false);
  }

  /** The actions for now, in this order. */
  decide(now: number): Decision[] {
    this.#lookAt = undefined;
    this.#requests.expire(now);
    this.#requests.refuseTooLarge();
    this.#count(now);
    for (let stuck = this.#startAll(now); this.#makeRoom(stuck, now); stuck = this.#startAll(now));
    const { firstDeadline } = this.#requests;
    if (firstDeadline !== undefined) this.#wakeAt(firstDeadline);
    return this.#decisions.splice(0);
  }

  /** Takes a run off its lane. Undefined if the lane was lost before. */
  #ended(id: number, now: number): ActiveRun | undefined {
    const active = this.#runs.get(id);
    if (!active) return undefined;
    this.#runs.delete(id);
    active.lane.host.ended(active, now);
    return active;
  }

  /** Starts the runs that can start now. @returns the resources for which something waits in vain */
  #startAll(now: number): Set<Resource> {
    const { stuck, later } = new Round({
      now,
      policy: this.#policy,
      site: this.#site,
      requests: this.#requests,
      growth: 1 / (1 - Math.min(this.#busy, MOST_BUSY)),
      start: (candidate) => this.#start(candidate, now),
    }).run();
    if (later !== Number.POSITIVE_INFINITY) this.#wakeAt(later);
    return stuck;
  }

  #start({ model, lane, batch, unload }: Candidate, now: number): void {
    for (const [where, idle] of unload) this.#site.unload(where, idle);
    const { host } = lane;
    const { file } = model;
    const load = this.#site.use(lane, file);
    model.heldSince = undefined;
    const { portions, losses } = this.#requests.take(model, batch);
    const slices = portions.map(({ task, from, count }) => ({
      request: task.request.request.id,
      step: task.step,
      from,
      count,
    }));
    const memory = at(model.costs.memory, batch);
    const run: Run = {
      id: this.#runsStarted++,
      model: model.name,
      lane: lane.name,
      batch,
      memory,
      slices,
      load,
      gatheredFrom: model.gatheredFrom,
    };
    model.gatheredFrom = undefined;
    lane.active = {
      run,
      model,
      lane,
      portions,
      outputs: portions.map(({ task, count }) =>
        this.#requests.costs.outputStays(task) ? model.costs.output * count : 0,
      ),
      memory,
      reachesGpu: now + at(model.costs.wait, batch) + (load ? model.costs.load : 0),
      gpuMs: at(model.costs.gpu, batch),
      losses,
      alone: host.runs === 0,
    };
    host.began(lane.active, now);
    this.#runs.set(run.id, lane.active);
    this.#decisions.push({ kind: 'start', run });
  }

  /** Measures how busy the scheduler is. Call this at each decision: whether there is work counts until the next one. */
  #count(now: number): void {
    const passed = now - (this.#busyUntil ?? now);
    this.#busyUntil = now;
    const was = this.#hadWork ? 1 : 0;
    this.#busy += (was - this.#busy) * (1 - Math.exp(-passed / this.#policy.memory));
    this.#hadWork = this.#requests.size > 0;
  }

  /**
   * A host's capacity may shrink below the bytes that requests hold there between their steps. Then nothing can run there,
   * and the youngest of these requests begins again. Returns false if this is not the case.
   *
   * @param stuck resources for which something waits, and nothing starts. Runs of others go on, and make no room.
   */
  #makeRoom(stuck: ReadonlySet<Resource>, now: number): boolean {
    const running = new Set([...this.#runs.values()].map(({ model }) => model.costs.resource));
    for (const resource of stuck) {
      if (running.has(resource)) continue;
      for (const host of this.#site.hosts.values()) {
        const youngest = [...host.holders.keys()].at(-1);
        if (!youngest || host.laneCount(resource) === 0) continue;
        this.#requests.restart(youngest, now);
        return true;
      }
    }
    return false;
  }

  #wakeAt(time: number): void {
    this.#lookAt = this.#lookAt === undefined ? time : Math.min(this.#lookAt, time);
  }
}

/** The methods of a scheduler that an engine calls. The bench gives it other schedulers, to compare with. */
export type EngineScheduler = Pick<
  Scheduler,
  | 'setHost'
  | 'memoryOf'
  | 'addLane'
  | 'loseLane'
  | 'loseHost'
  | 'loadedOn'
  | 'setModel'
  | 'removeModel'
  | 'waitingFor'
  | 'arrive'
  | 'cancel'
  | 'complete'
  | 'fail'
  | 'putBack'
  | 'decide'
  | 'lookAt'
  | 'backlog'
>;
