import {
  type Candidate,
  type Evaluation,
  evaluate,
  isAhead,
  isBetter,
  type Promised,
  promise,
} from './choice.js';
import { at, largestWithin, type ModelCosts, type Resource, runTime } from './costs.js';
import { TenantShares } from './fair-queue.js';
import { Heap } from './heap.js';
import { type ActiveRun, HostState, type LaneState } from './hosts.js';
import { type ModelFile, ModelState } from './models.js';
import { POLICY, type Policy } from './policy.js';
import {
  becomeReady,
  begin,
  beginAgain,
  cut,
  isCurrent,
  isDone,
  itemsOf,
  type Portion,
  type Progress,
  type Task,
  waiting,
} from './progress.js';
import { RequestCosts } from './request-costs.js';
import type { Situation } from './situation.js';
import type { Capacity, Decision, LaneOptions, Outcome, Refusal, Run, ScheduledRequest } from './types.js';

/** If so many lanes are lost while they run the same single item, that item is the reason. */
const MOST_LOSSES = 3;
/** A delay counts for at most ten times as many requests as wait now, however busy the scheduler is. */
const MOST_BUSY = 0.9;
const RESOURCES: readonly Resource[] = ['gpu', 'cpu', 'network', 'shards'];

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
  readonly #models = new Map<string, ModelState>();
  /** The files that lanes load for the models, by name. */
  readonly #files = new Map<string, ModelFile>();
  /** The models that items wait for. */
  readonly #wanted = new Set<ModelState>();
  readonly #hosts = new Map<string, HostState>();
  readonly #lanes = new Map<string, LaneState>();
  readonly #requests = new Map<number, Progress>();
  readonly #runs = new Map<number, ActiveRun>();
  readonly #deadlines = new Heap<Progress>((a, b) => a.deadline < b.deadline);
  readonly #shares = new TenantShares();
  readonly #costs = new RequestCosts((name) => this.#models.get(name)?.costs);
  #decisions: Decision[] = [];
  #arrivals = 0;
  #runsStarted = 0;
  #lookAt: number | undefined;
  /** The share of the recent time in which there was work, and the time of the last look. */
  #busy = 0;
  #busyUntil: number | undefined;
  #hadWork = false;

  constructor(policy: Partial<Policy> = {}) {
    this.#policy = { ...POLICY, ...policy };
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
    let longest = 0;
    for (const resource of RESOURCES) {
      let ms = 0;
      for (const model of this.#wanted) {
        const { costs, maxBatch, waiting } = model;
        if (costs.resource !== resource) continue;
        let batch = 1;
        for (const { capacity } of this.#hosts.values()) {
          batch = Math.max(batch, largestWithin(costs.memory, capacity.bytes - costs.weights, maxBatch));
        }
        const { base, perItem } = runTime(costs);
        ms += base * Math.ceil(waiting / batch) + perItem * waiting;
      }
      let lanes = 0;
      for (const lane of this.#lanes.values()) if (lane.resource === resource) lanes += 1;
      longest = Math.max(longest, ms / Math.max(1, lanes));
    }
    return longest;
  }

  /** How many runs are under way. */
  get running(): number {
    return this.#runs.size;
  }

  /** How many items wait for a model. */
  waitingFor(model: string): number {
    return this.#models.get(model)?.waiting ?? 0;
  }

  /** The bytes of a host's memory, by use. */
  memoryOf(host: string): { weights: number; running: number; held: number } | undefined {
    const state = this.#hosts.get(host);
    return state && { weights: state.weights, running: state.running, held: state.held };
  }

  /** The names of the files that are loaded on a lane, the least recently used first. */
  loadedOn(lane: string): string[] {
    return [...(this.#lanes.get(lane)?.loaded ?? [])].map(({ name }) => name);
  }

  /** A host has joined, or its capacity has changed. */
  setHost(name: string, capacity: Capacity): void {
    const host = this.#hosts.get(name);
    if (host) host.capacity = capacity;
    else this.#hosts.set(name, new HostState(name, capacity));
  }

  addLane(name: string, { host: hostName, resource }: LaneOptions): void {
    const host = this.#hosts.get(hostName);
    if (!host) throw new Error(`lane ${name} is on host ${hostName}, which is not known`);
    if (this.#lanes.has(name)) throw new Error(`there is a lane ${name} already`);
    const lane: LaneState = { name, host, resource, loaded: new Set(), active: undefined };
    this.#lanes.set(name, lane);
    host.lanes.push(lane);
  }

  /** A lane is lost, with everything on it. Its items run elsewhere. */
  loseLane(name: string, now: number, reason: string = `Lane ${name} was lost.`): void {
    const lane = this.#lanes.get(name);
    if (!lane) return;
    const { active, host } = lane;
    // The outputs that the lane kept for later steps are lost.
    for (const progress of [...this.#requests.values()]) {
      if (progress.tasks.some(({ outputs }) => outputs.has(name))) this.#restart(progress, now);
    }
    if (active) {
      this.#runs.delete(active.run.id);
      host.ended(active, now);
    }
    this.#lanes.delete(name);
    host.lanes.splice(host.lanes.indexOf(lane), 1);
    for (const { weights } of lane.loaded) host.weights -= weights;
    if (active) this.#runElsewhere(active, reason);
  }

  /** A host is lost, with its lanes. */
  loseHost(name: string, now: number): void {
    const host = this.#hosts.get(name);
    if (!host) return;
    for (const lane of [...host.lanes]) this.loseLane(lane.name, now);
    this.#hosts.delete(name);
  }

  /** Requests may use this model from now on, or its costs are known better. */
  setModel(name: string, costs: ModelCosts): void {
    const { weights, load } = costs;
    const model = this.#models.get(name);
    const fileName = costs.file ?? name;
    const file = model?.file ?? this.#files.get(fileName) ?? { name: fileName, weights, load, models: 0 };
    for (const { loaded, host } of this.#lanes.values()) {
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
      this.#models.set(name, new ModelState(name, file, costs));
    }
    this.#costs.changed();
  }

  /** Removes a model. Its runs finish, and requests that still need the model are refused. */
  removeModel(name: string): void {
    const model = this.#models.get(name);
    if (!model) return;
    const again = new Set(model.retries.flatMap(({ portions }) => portions.map(({ task }) => task)));
    const needs = (task: Task): boolean =>
      task.model === name && (task.items === undefined || waiting(task) > 0 || again.has(task));
    for (const progress of [...this.#requests.values()]) {
      if (progress.tasks.some(needs)) this.#end(progress, unloaded(name));
    }
    this.#models.delete(name);
    this.#costs.changed();
    const { file } = model;
    file.models -= 1;
    if (file.models > 0) return;
    this.#files.delete(file.name);
    for (const lane of this.#lanes.values()) {
      if (lane.active?.model.file !== file) this.#unload(lane, file);
    }
  }

  arrive(request: ScheduledRequest, now: number): void {
    const refusal = this.#refusal(request);
    if (refusal) {
      this.#decisions.push({ kind: 'end', request: request.id, outcome: refusal });
      return;
    }
    const { tenant = '', share = 1 } = request;
    const progress = begin(request, this.#shares.of(tenant, share), this.#arrivals++, now);
    this.#requests.set(request.id, progress);
    if (request.deadline !== undefined) this.#deadlines.push(progress);
    this.#advance(progress, now);
  }

  /** Cancels a request. `decide` returns no `end` for it. */
  cancel(id: number): void {
    const progress = this.#requests.get(id);
    if (progress) this.#forget(progress);
  }

  /**
   * A run has succeeded. `elements` has the number of elements in the output of each slice. Steps that run once for each
   * element need it.
   */
  complete(id: number, now: number, elements?: readonly number[]): void {
    const active = this.#runs.get(id);
    if (!active) return;
    const { lane, model } = active;
    this.#runs.delete(id);
    lane.host.ended(active, now);
    for (const [at, { task, count }] of active.portions.entries()) {
      if (!isCurrent(task)) continue;
      task.done += count;
      task.elements += elements?.[at] ?? 0;
      this.#keepOutput(task, lane, active.outputs[at] as number);
      if (!isDone(task)) continue;
      this.#dropInputs(task.request);
      this.#advance(task.request, now);
    }
    if (model.file.models === 0) this.#unload(lane, model.file);
  }

  /**
   * A run has failed, because it was out of memory or for another reason. Its items run again in two halves. So in the
   * end an item that is the reason fails alone.
   */
  fail(id: number, now: number, { reason, memory = false }: { reason: string; memory?: boolean }): void {
    const active = this.#runs.get(id);
    if (!active) return;
    const { run, model, lane } = active;
    this.#runs.delete(id);
    lane.host.ended(active, now);
    if (run.load || model.file.models === 0) this.#unload(lane, model.file);
    if (memory) model.maxBatch = Math.max(1, Math.min(model.maxBatch, run.batch >> 1));
    // Other runs on the host may have used the memory.
    if (memory && run.batch === 1 && !active.alone)
      this.#queueAgain(active.model, active.portions, active.losses, true);
    else this.#runInHalves(active, reason);
  }

  /** A run could not begin, because other programs have the memory. Its items wait again. */
  putBack(id: number, now: number): void {
    const active = this.#runs.get(id);
    if (!active) return;
    const { run, model, lane } = active;
    this.#runs.delete(id);
    lane.host.ended(active, now);
    if (run.load) this.#unload(lane, model.file);
    this.#queueAgain(model, active.portions, active.losses, false);
  }

  /** The actions for now, in this order. */
  decide(now: number): Decision[] {
    this.#lookAt = undefined;
    this.#expire(now);
    this.#refuseTooLarge();
    this.#count(now);
    while (!this.#startAll(now) && this.#makeRoom(now));
    const first = this.#deadlines.peek();
    if (first) this.#wakeAt(first.deadline);
    const decisions = this.#decisions;
    this.#decisions = [];
    return decisions;
  }

  /**
   * Starts runs, the best first, until none is left. If the best run would only wait for the GPU, it starts later, and
   * the other runs leave it its lane and its memory. Returns whether something starts, now or at a known time.
   */
  #startAll(now: number): boolean {
    const planned = new Map<LaneState, Candidate>();
    const gathering = new Set<ModelState>();
    let later = Number.POSITIVE_INFINITY;
    let started = false;
    for (const resource of RESOURCES) {
      // A run that starts leaves less for the others. So the value that was found for them before is an upper bound.
      const ranking: Promised[] = [];
      let situation = this.#situation(resource, now, planned);
      if (!situation) continue;
      const lanes = this.#mostLanes(resource);
      for (const model of this.#wanted) {
        if (model.costs.resource === resource) rank(ranking, promise(model, situation, lanes));
      }
      let found = new Set<Promised>();
      for (let best = ranking.pop(); best && situation; best = ranking.pop()) {
        const { model } = best;
        if (!found.has(best)) {
          const evaluation = this.#evaluate(model, situation, planned);
          if ('later' in evaluation) {
            later = Math.min(later, evaluation.later);
            if (evaluation.held) {
              model.heldSince ??= now;
              gathering.add(model);
            }
          } else {
            found.add(evaluation.candidate);
            rank(ranking, evaluation.candidate);
          }
          continue;
        }
        const candidate = best as Candidate;
        if (candidate.from > now) {
          planned.set(candidate.lane, candidate);
          gathering.add(model);
          later = Math.min(later, candidate.from);
        } else {
          this.#start(candidate, now);
          started = true;
        }
        found = new Set();
        situation = this.#situation(resource, now, planned);
        if (situation && candidate.from <= now && this.#wanted.has(model)) {
          rank(ranking, promise(model, situation, lanes));
        }
      }
    }
    for (const model of this.#wanted) {
      model.gatheredFrom = gathering.has(model) ? (model.gatheredFrom ?? now) : undefined;
    }
    if (later !== Number.POSITIVE_INFINITY) this.#wakeAt(later);
    return started || later !== Number.POSITIVE_INFINITY;
  }

  /** The best run of a model on an idle lane. Of each host, take the lane with the inputs, or with the model loaded. */
  #evaluate(model: ModelState, situation: Situation, planned: ReadonlyMap<LaneState, Candidate>): Evaluation {
    let best: Candidate | undefined;
    let later: Evaluation = { later: Number.POSITIVE_INFINITY };
    const home = model.queue.first?.home;
    for (const host of situation.hosts) {
      let lane: LaneState | undefined;
      for (const each of host.lanes) {
        if (each.active || each.resource !== model.costs.resource || planned.has(each)) continue;
        if (
          !lane ||
          each.name === home ||
          (lane.name !== home && !lane.loaded.has(model.file) && each.loaded.has(model.file))
        )
          lane = each;
      }
      if (!lane) continue;
      const evaluation = evaluate(model, lane, situation);
      if ('candidate' in evaluation) {
        if (isBetter(evaluation.candidate, best)) best = evaluation.candidate;
      } else if (evaluation.later < later.later) later = evaluation;
    }
    return best ? { candidate: best } : later;
  }

  /** The most lanes of the resource that a host has. */
  #mostLanes(resource: Resource): number {
    let most = 1;
    for (const host of this.#hosts.values()) most = Math.max(most, host.laneCount(resource));
    return most;
  }

  /** The situation of a choice for the resource. Undefined if none of its lanes is idle, or nothing waits for it. */
  #situation(
    resource: Resource,
    now: number,
    planned: ReadonlyMap<LaneState, Candidate>,
  ): Situation | undefined {
    const hosts = new Set<HostState>();
    let idle = false;
    for (const lane of this.#lanes.values()) {
      if (lane.resource !== resource) continue;
      hosts.add(lane.host);
      idle ||= !lane.active && !planned.has(lane);
    }
    if (!idle) return undefined;
    let value = 0;
    let least = Number.POSITIVE_INFINITY;
    for (const { costs, queue, retries } of this.#wanted) {
      if (costs.resource !== resource) continue;
      value += queue.value + retries.length;
      least = Math.min(least, queue.first?.request.tenant.had[resource] ?? least);
    }
    if (value === 0) return undefined;
    if (least < Number.POSITIVE_INFINITY) this.#shares.look(resource, least);
    const policy = this.#policy;
    const { patience } = policy;
    let oldest: Task | undefined;
    for (const { costs, queue } of this.#wanted) {
      if (costs.resource !== resource) continue;
      const { first } = queue;
      if (!first || isAhead(first, resource, { least, policy })) continue;
      if (!oldest || first.request.order < oldest.request.order) oldest = first;
    }
    const kept =
      oldest && now - oldest.request.arrivedAt > patience ? this.#models.get(oldest.model) : undefined;
    return {
      now,
      policy,
      costs: this.#costs,
      value,
      least,
      hosts,
      growth: 1 / (1 - Math.min(this.#busy, MOST_BUSY)),
      planned: (host) => [...planned.values()].filter(({ lane }) => lane.host === host),
      reserved: (host, model) => {
        let bytes = kept && kept !== model && !isPlanned(kept, planned) ? bytesForOne(kept, host) : 0;
        for (const [lane, candidate] of planned) if (lane.host === host) bytes += bytesOf(candidate);
        return bytes;
      },
    };
  }

  #start({ model, lane, batch, unload }: Candidate, now: number): void {
    for (const [where, idle] of unload) this.#unload(where, idle);
    const { host } = lane;
    const { file } = model;
    const load = !lane.loaded.has(file);
    if (load) host.weights += file.weights;
    // The most recently used file comes last.
    lane.loaded.delete(file);
    lane.loaded.add(file);
    model.heldSince = undefined;

    const retry = model.retries.shift();
    let portions = retry?.portions ?? model.queue.take(batch);
    if (retry && retry.items > batch) {
      const [first, second] = cut(portions, batch);
      this.#queueAgain(model, second, retry.losses, retry.alone);
      portions = first;
    }
    if (model.waiting === 0) this.#wanted.delete(model);
    this.#shares.charge(portions, model.costs, batch);

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
        this.#costs.outputStays(task) ? model.costs.output * count : 0,
      ),
      memory,
      reachesGpu: now + at(model.costs.wait, batch) + (load ? model.costs.load : 0),
      gpuMs: at(model.costs.gpu, batch),
      losses: retry?.losses ?? 0,
      alone: host.runs === 0,
    };
    host.began(lane.active);
    this.#runs.set(run.id, lane.active);
    this.#decisions.push({ kind: 'start', run });
  }

  #unload(lane: LaneState, file: ModelFile): void {
    if (!lane.loaded.delete(file)) return;
    lane.host.weights -= file.weights;
    this.#decisions.push({ kind: 'unload', lane: lane.name, file: file.name });
  }

  /** A run has failed by its own fault. Its items run again in halves, so that a bad item fails alone in the end. */
  #runInHalves({ model, portions, run, losses }: ActiveRun, reason: string): void {
    const [{ task } = {}] = portions;
    if (run.batch > 1) {
      const [first, second] = cut(portions, run.batch >> 1);
      this.#queueAgain(model, second, losses, false);
      this.#queueAgain(model, first, losses, false);
    } else if (task && isCurrent(task)) this.#end(task.request, { is: 'failed', reason });
  }

  /** A run's lane was lost, perhaps because of its items. After a first loss they run in halves; a single item fails. */
  #runElsewhere(active: ActiveRun, reason: string): void {
    const lost = { ...active, losses: active.losses + 1 };
    const { losses, run, model, portions } = lost;
    if (losses === 1 || (run.batch === 1 && losses < MOST_LOSSES)) {
      this.#queueAgain(model, portions, losses, false);
    } else
      this.#runInHalves(lost, `${MOST_LOSSES} lanes were lost while they ran it. The last one: ${reason}`);
  }

  /** Puts items before all others of their model, except items of requests that have ended. */
  #queueAgain(model: ModelState, all: readonly Portion[], losses: number, alone: boolean): void {
    const portions = all.filter(({ task }) => isCurrent(task));
    if (portions.length === 0) return;
    if (this.#models.get(model.name) !== model) {
      for (const { task } of portions) {
        this.#end(task.request, unloaded(model.name));
      }
      return;
    }
    model.retries.unshift({ portions, items: itemsOf(portions), losses, alone });
    this.#wanted.add(model);
  }

  /** Queues the tasks of a request that are ready now, or ends the request. */
  #advance(progress: Progress, now: number): void {
    const ready = becomeReady(progress);
    if ('reason' in ready) {
      this.#end(progress, { is: 'failed', reason: ready.reason });
      return;
    }
    for (const task of ready) {
      const model = this.#models.get(task.model);
      if (!model) {
        this.#end(progress, unloaded(task.model));
        return;
      }
      if (progress.request.together) {
        const items = task.items as number;
        task.next = items;
        model.retries.push({ portions: [{ task, from: 0, count: items }], items, losses: 0, alone: false });
      } else {
        this.#shares.joins(progress.tenant, model.costs.resource);
        // A request that is soon done need not wait for one that came before it and takes longer.
        task.place = progress.arrivedAt + at(this.#costs.timeAfter(task), task.items as number);
        model.queue.add(task);
      }
      model.arrivals.arrived(now);
      this.#wanted.add(model);
    }
    if (progress.tasks.every(isDone)) this.#end(progress, { is: 'done' });
  }

  #keepOutput(task: Task, lane: LaneState, bytes: number): void {
    if (bytes === 0) return;
    task.outputs.set(lane.name, (task.outputs.get(lane.name) ?? 0) + bytes);
    lane.host.held += bytes;
    lane.host.hold(task.request, bytes);
  }

  #dropOutput(task: Task): void {
    for (const [lane, bytes] of task.outputs) {
      const { host } = this.#lanes.get(lane) as LaneState;
      host.held -= bytes;
      host.hold(task.request, -bytes);
    }
    task.outputs.clear();
  }

  /** Frees the outputs that no step needs any more. */
  #dropInputs({ tasks, graph }: Progress): void {
    for (const task of tasks) {
      if (task.outputs.size === 0) continue;
      const needed = tasks.some(
        (later) => graph.steps[later.step]?.after.includes(task.step) && !isDone(later),
      );
      if (!needed) this.#dropOutput(task);
    }
  }

  #end(progress: Progress, outcome: Outcome): void {
    if (progress.ended) return;
    this.#forget(progress);
    this.#decisions.push({ kind: 'end', request: progress.request.id, outcome });
  }

  #forget(progress: Progress): void {
    this.#leave(progress);
    progress.ended = true;
    this.#requests.delete(progress.request.id);
    this.#dropRetries();
    if (this.#deadlines.size > 2 * this.#requests.size + 64) this.#deadlines.retain(({ ended }) => !ended);
  }

  /** Begins a request again, with nothing on any lane. */
  #restart(progress: Progress, now: number): void {
    this.#leave(progress);
    beginAgain(progress);
    this.#dropRetries();
    this.#decisions.push({ kind: 'restart', request: progress.request.id });
    this.#advance(progress, now);
  }

  /** Measures how busy the scheduler is. Call this at each decision: whether there is work counts until the next one. */
  #count(now: number): void {
    const passed = now - (this.#busyUntil ?? now);
    this.#busyUntil = now;
    const was = this.#hadWork ? 1 : 0;
    this.#busy += (was - this.#busy) * (1 - Math.exp(-passed / this.#policy.memory));
    this.#hadWork = this.#requests.size > 0;
  }

  /** Takes a request's tasks from the queues, and its outputs from the lanes. */
  #leave({ tasks }: Progress): void {
    for (const task of tasks) {
      this.#dropOutput(task);
      const model = this.#models.get(task.model);
      if (!model || waiting(task) === 0) continue;
      model.queue.remove(task);
      if (model.waiting === 0) this.#wanted.delete(model);
    }
  }

  /** Removes the items of ended requests from the retries. */
  #dropRetries(): void {
    for (const model of this.#wanted) {
      if (model.retries.length === 0) continue;
      const kept = model.retries.flatMap((retry) => {
        const portions = retry.portions.filter(({ task }) => isCurrent(task));
        return portions.length > 0 ? [{ ...retry, portions, items: itemsOf(portions) }] : [];
      });
      model.retries.splice(0, model.retries.length, ...kept);
      if (model.waiting === 0) this.#wanted.delete(model);
    }
  }

  #expire(now: number): void {
    for (let first = this.#deadlines.peek(); first; first = this.#deadlines.peek()) {
      if (!first.ended && first.deadline > now) return;
      this.#deadlines.pop();
      this.#end(first, { is: 'expired', reason: 'The request was not done by its deadline.' });
    }
  }

  /**
   * A host's capacity may shrink below the bytes that requests hold there between their steps. Then nothing can run, and
   * the youngest of these requests begins again. Returns false if this is not the case.
   */
  #makeRoom(now: number): boolean {
    if (this.#runs.size > 0 || this.#wanted.size === 0) return false;
    for (const host of this.#hosts.values()) {
      const youngest = [...host.holders.keys()].at(-1);
      if (!youngest) continue;
      this.#restart(youngest, now);
      return true;
    }
    return false;
  }

  /** Why a request is refused. */
  #refusal({ id, graph, items }: ScheduledRequest): Outcome | undefined {
    if (this.#requests.has(id)) throw new Error(`there is a request ${id} already`);
    const { maxRequests } = this.#policy;
    if (this.#requests.size >= maxRequests) {
      return refused('too-many', `${maxRequests} requests wait already; try again later.`);
    }
    for (const { model } of graph.steps) {
      if (!this.#models.has(model)) return refused('no-model', `There is no model ${model}.`);
    }
    const { bytes, largest } = this.#costs.bytesFor(graph, items);
    return bytes > this.#largest ? tooLarge(bytes, largest, this.#largest) : undefined;
  }

  /** Refuses the requests that wait for a model if one item of it fits no host, by what is known now. */
  #refuseTooLarge(): void {
    const most = this.#largest;
    for (const model of [...this.#wanted]) {
      const bytes = model.costs.weights + at(model.costs.memory, 1);
      if (bytes <= most) continue;
      const tasks = model.retries.flatMap(({ portions }) => portions.map(({ task }) => task));
      for (const { request } of [...tasks, ...model.queue])
        this.#end(request, tooLarge(bytes, model.name, most));
    }
  }

  /**
   * The memory of the largest host; infinity while no host has memory. Then requests wait for one: the host of functions
   * alone may be left, while a pool has no host for the server.
   */
  get #largest(): number {
    let most = 0;
    for (const { capacity } of this.#hosts.values()) most = Math.max(most, capacity.limit);
    return most > 0 ? most : Number.POSITIVE_INFINITY;
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

/** Bytes that one item of a model needs on a host; 0 if the model cannot run there. */
function bytesForOne(model: ModelState, host: HostState): number {
  const { costs } = model;
  if (host.laneCount(costs.resource) === 0) return 0;
  const loaded = host.lanes.some((lane) => lane.loaded.has(model.file));
  const bytes = at(costs.memory, 1) + (loaded ? 0 : costs.weights);
  return bytes <= host.capacity.bytes ? bytes : 0;
}

/** Inserts a model into the list: the best one is last. */
function rank(ranking: Promised[], ranked: Promised): void {
  let low = 0;
  let high = ranking.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBetter(ranked, ranking[middle])) low = middle + 1;
    else high = middle;
  }
  ranking.splice(low, 0, ranked);
}

/** Bytes that a run takes of its host, beside the models that are loaded already. */
function bytesOf({ model, lane, batch }: Candidate): number {
  return at(model.costs.memory, batch) + (lane.loaded.has(model.file) ? 0 : model.costs.weights);
}

/** Whether a place is kept for a later run of the model. */
function isPlanned(model: ModelState, planned: ReadonlyMap<LaneState, Candidate>): boolean {
  for (const each of planned.values()) if (each.model === model) return true;
  return false;
}

function unloaded(model: string): Outcome {
  return refused('no-model', `Model ${model} was unloaded.`);
}

function tooLarge(bytes: number, model: string, most: number): Outcome {
  return refused(
    'too-large',
    `The request needs ${bytes} bytes of GPU memory (model ${model} the most of it), and no host has more than ${most}.`,
  );
}

function refused(why: Refusal, reason: string): Outcome {
  return { is: 'refused', why, reason };
}
