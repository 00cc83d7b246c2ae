import { at } from '../costs.js';
import { Heap } from '../heap.js';
import type { ActiveRun, LaneState } from '../hosts.js';
import type { ModelState } from '../models.js';
import type { Site } from '../site.js';
import type { Decision, Outcome, Refusal, ScheduledRequest } from '../types.js';
import { TenantShares } from './fair-queue.js';
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

/** If so many lanes are lost while they run the same single item, that item is the reason. */
const MOST_LOSSES = 3;

/**
 * The requests that wait or run. It queues the items of their steps at the models, keeps account of the outputs that stay
 * on lanes between the steps, and says how each request ends.
 */
export class OpenRequests {
  readonly shares: TenantShares = new TenantShares();
  readonly costs: RequestCosts;
  /** The models that items wait for. */
  readonly wanted: Set<ModelState> = new Set();
  readonly #site: Site;
  readonly #decisions: Decision[];
  readonly #most: number;
  readonly #requests = new Map<number, Progress>();
  readonly #deadlines = new Heap<Progress>((a, b) => a.deadline < b.deadline);
  #arrivals = 0;

  /**
   * @param decisions gets how requests end, and which begin again.
   * @param most how many requests there may be.
   */
  constructor(site: Site, decisions: Decision[], most: number) {
    this.#site = site;
    this.#decisions = decisions;
    this.#most = most;
    this.costs = new RequestCosts((name) => site.models.get(name)?.costs);
  }

  get size(): number {
    return this.#requests.size;
  }

  /** The first deadline of a request; undefined if none has one. */
  get firstDeadline(): number | undefined {
    return this.#deadlines.peek()?.deadline;
  }

  arrive(request: ScheduledRequest, now: number): void {
    const refusal = this.#refusal(request);
    if (refusal) {
      this.#decisions.push({ kind: 'end', request: request.id, outcome: refusal });
      return;
    }
    const { tenant = '', share = 1 } = request;
    const progress = begin(request, this.shares.of(tenant, share), this.#arrivals++, now);
    this.#requests.set(request.id, progress);
    if (request.deadline !== undefined) this.#deadlines.push(progress);
    this.#advance(progress, now);
  }

  /** Cancels a request. `decide` returns no `end` for it. */
  cancel(id: number): void {
    const progress = this.#requests.get(id);
    if (progress) this.#forget(progress);
  }

  /** Takes the items of the next run of a model from its queue. */
  take(model: ModelState, batch: number): { portions: readonly Portion[]; losses: number } {
    const retry = model.retries.shift();
    let portions = retry?.portions ?? model.queue.take(batch);
    if (retry && retry.items > batch) {
      const [first, second] = cut(portions, batch);
      this.queueAgain(model, second, retry.losses, retry.alone);
      portions = first;
    }
    if (model.waiting === 0) this.wanted.delete(model);
    this.shares.charge(portions, model.costs, batch);
    return { portions, losses: retry?.losses ?? 0 };
  }

  /** A run has succeeded. `elements`: the number of elements in the output of each of its portions. */
  ran({ lane, portions, outputs }: ActiveRun, now: number, elements?: readonly number[]): void {
    for (const [at, { task, count }] of portions.entries()) {
      if (!isCurrent(task)) continue;
      task.done += count;
      task.elements += elements?.[at] ?? 0;
      this.#keepOutput(task, lane, outputs[at] as number);
      if (!isDone(task)) continue;
      this.#dropInputs(task.request);
      this.#advance(task.request, now);
    }
  }

  /** A run has failed by its own fault. Its items run again in halves, so that a bad item fails alone in the end. */
  runInHalves({ model, portions, run, losses }: ActiveRun, reason: string): void {
    const [{ task } = {}] = portions;
    if (run.batch > 1) {
      const [first, second] = cut(portions, run.batch >> 1);
      this.queueAgain(model, second, losses, false);
      this.queueAgain(model, first, losses, false);
    } else if (task && isCurrent(task)) this.#end(task.request, { is: 'failed', reason });
  }

  /** A run has failed, and no part of it could be run. */
  failAll({ portions }: ActiveRun, reason: string): void {
    for (const { task } of portions) if (isCurrent(task)) this.#end(task.request, { is: 'failed', reason });
  }

  /** A run's lane was lost, perhaps because of its items. After a first loss they run in halves; a single item fails. */
  runElsewhere(active: ActiveRun, reason: string): void {
    const lost = { ...active, losses: active.losses + 1 };
    const { losses, run, model, portions } = lost;
    if (losses === 1 || (run.batch === 1 && losses < MOST_LOSSES)) {
      this.queueAgain(model, portions, losses, false);
    } else
      this.runInHalves(lost, `${MOST_LOSSES} lanes were lost while they ran it. The last one: ${reason}`);
  }

  /** Puts items before all others of their model, except items of requests that have ended. */
  queueAgain(model: ModelState, all: readonly Portion[], losses: number, alone: boolean): void {
    const portions = all.filter(({ task }) => isCurrent(task));
    if (portions.length === 0) return;
    if (this.#site.models.get(model.name) !== model) {
      for (const { task } of portions) {
        this.#end(task.request, unloaded(model.name));
      }
      return;
    }
    model.retries.unshift({ portions, items: itemsOf(portions), losses, alone });
    this.wanted.add(model);
  }

  /** Begins a request again, with nothing on any lane. */
  restart(progress: Progress, now: number): void {
    this.#leave(progress);
    beginAgain(progress);
    this.#dropRetries();
    this.#decisions.push({ kind: 'restart', request: progress.request.id });
    this.#advance(progress, now);
  }

  /** Begins the requests again whose outputs are on a lane that is lost. Call this before the site forgets the lane. */
  restartOn(lane: string, now: number): void {
    for (const progress of [...this.#requests.values()]) {
      if (progress.tasks.some(({ outputs }) => outputs.has(lane))) this.restart(progress, now);
    }
  }

  /** Ends the requests that still need a model. */
  endWithout({ name, retries }: ModelState): void {
    const again = new Set(retries.flatMap(({ portions }) => portions.map(({ task }) => task)));
    const needs = (task: Task): boolean =>
      task.model === name && (task.items === undefined || waiting(task) > 0 || again.has(task));
    for (const progress of [...this.#requests.values()]) {
      if (progress.tasks.some(needs)) this.#end(progress, unloaded(name));
    }
  }

  /** Ends the requests whose deadline has passed. */
  expire(now: number): void {
    for (let first = this.#deadlines.peek(); first; first = this.#deadlines.peek()) {
      if (!first.ended && first.deadline > now) return;
      this.#deadlines.pop();
      this.#end(first, { is: 'expired', reason: 'The request was not done by its deadline.' });
    }
  }

  /** Refuses the requests that wait for a model if one item of it fits no host, by what is known now. */
  refuseTooLarge(): void {
    const most = this.#site.largest;
    for (const model of [...this.wanted]) {
      const bytes = model.costs.weights + at(model.costs.memory, 1);
      if (bytes <= most) continue;
      const tasks = model.retries.flatMap(({ portions }) => portions.map(({ task }) => task));
      for (const { request } of [...tasks, ...model.queue])
        this.#end(request, tooLarge(bytes, model.name, most));
    }
  }

  /** Queues the tasks of a request that are ready now, or ends the request. */
  #advance(progress: Progress, now: number): void {
    const ready = becomeReady(progress);
    if ('reason' in ready) {
      this.#end(progress, { is: 'failed', reason: ready.reason });
      return;
    }
    for (const task of ready) {
      const model = this.#site.models.get(task.model);
      if (!model) {
        this.#end(progress, unloaded(task.model));
        return;
      }
      if (progress.request.together) {
        const items = task.items as number;
        task.next = items;
        model.retries.push({ portions: [{ task, from: 0, count: items }], items, losses: 0, alone: false });
      } else {
        this.shares.joins(progress.tenant, model.costs.resource);
        // A request that is soon done need not wait for one that came before it and takes longer.
        task.place = progress.arrivedAt + at(this.costs.timeAfter(task), task.items as number);
        model.queue.add(task);
      }
      model.arrivals.arrived(now);
      this.wanted.add(model);
    }
    if (progress.tasks.every(isDone)) this.#end(progress, { is: 'done' });
  }

  /** Why a request is refused. */
  #refusal({ id, graph, items }: ScheduledRequest): Outcome | undefined {
    if (this.#requests.has(id)) throw new Error(`there is a request ${id} already`);
    if (this.#requests.size >= this.#most) {
      return refused('too-many', `${this.#most} requests wait already; try again later.`);
    }
    for (const { model } of graph.steps) {
      if (!this.#site.models.has(model)) return refused('no-model', `There is no model ${model}.`);
    }
    const { bytes, largest } = this.costs.bytesFor(graph, items);
    return bytes > this.#site.largest ? tooLarge(bytes, largest, this.#site.largest) : undefined;
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

  /** Takes a request's tasks from the queues, and its outputs from the lanes. */
  #leave({ tasks }: Progress): void {
    for (const task of tasks) {
      this.#dropOutput(task);
      const model = this.#site.models.get(task.model);
      if (!model || waiting(task) === 0) continue;
      model.queue.remove(task);
      if (model.waiting === 0) this.wanted.delete(model);
    }
  }

  /** Removes the items of ended requests from the retries. */
  #dropRetries(): void {
    for (const model of this.wanted) {
      if (model.retries.length === 0) continue;
      const kept = model.retries.flatMap((retry) => {
        const portions = retry.portions.filter(({ task }) => isCurrent(task));
        return portions.length > 0 ? [{ ...retry, portions, items: itemsOf(portions) }] : [];
      });
      model.retries.splice(0, model.retries.length, ...kept);
      if (model.waiting === 0) this.wanted.delete(model);
    }
  }

  #keepOutput(task: Task, lane: LaneState, bytes: number): void {
    if (bytes === 0) return;
    task.outputs.set(lane.name, (task.outputs.get(lane.name) ?? 0) + bytes);
    lane.host.held += bytes;
    lane.host.hold(task.request, bytes);
  }

  #dropOutput(task: Task): void {
    for (const [lane, bytes] of task.outputs) {
      const { host } = this.#site.lanes.get(lane) as LaneState;
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
