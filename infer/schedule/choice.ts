import { at, largestWithin } from './costs.js';
import type { HostState, LaneState } from './hosts.js';
import type { ModelState } from './models.js';
import type { Progress } from './progress.js';
import type { RequestCosts } from './request-costs.js';
import type { Situation } from './situation.js';
import { parallelism, runTime, sizeOf } from './sizing.js';

/** What a run of a model is worth, or at most. */
export interface Promised {
  readonly model: ModelState;
  /** What the run is worth, by the time that it takes and that its requests take after it. */
  readonly rate: number;
  /** The order of its first request, where that one has waited too long. */
  readonly overdue: number | undefined;
}

/** A run that could start now, or a little later. */
export interface Candidate extends Promised {
  readonly lane: LaneState;
  readonly batch: number;
  readonly unload: readonly (readonly [LaneState, ModelState])[];
  /** When to start it: until then it would only wait for the GPU. */
  readonly from: number;
}

/** A candidate; or when to look again, infinity where nothing but an event can change the answer. */
export type Evaluation =
  | { readonly candidate: Candidate }
  | {
      readonly later: number;
      /** It could start, and waits for a fuller batch. */
      readonly held?: boolean;
    };

const NEVER: Evaluation = { later: Number.POSITIVE_INFINITY };

/**
 * Finds the best run of a model on an idle lane.
 *
 * The batch is bounded by memory, and by the point from which a larger one delays more than it saves. A run that would
 * only wait for the GPU does not start yet: until the GPU is free more items may come.
 */
export function evaluate(model: ModelState, lane: LaneState, situation: Situation): Evaluation {
  const { costs } = model;
  const { now, policy } = situation;
  const { host } = lane;
  const [retry] = model.retries;
  if (retry?.alone && host.runs > 0) return NEVER;
  const first = retry ? undefined : model.queue.first;
  const overdue =
    first && now - first.request.arrivedAt > policy.patience ? first.request.order : retry ? -1 : undefined;
  const sooner = overdue === undefined ? loadedElsewhere(model, lane, now) : undefined;
  if (sooner !== undefined) return { later: sooner };

  const most = Math.min(retry?.items ?? model.queue.items, model.maxBatch);
  const size = sizeOf(model, lane, most, situation);
  if (!size) return NEVER;
  const batch = retry ? size.batch : safeBatch(model, host, size.batch, situation.costs);
  if (batch === 0) return NEVER;
  let { from } = size;
  if (at(costs.gpu, batch) > 0) {
    const untilGpu = at(costs.wait, batch) + size.loading;
    from = Math.max(from, host.gpuDone(now + untilGpu, now) - policy.lead - untilGpu);
  }
  if (from <= now && overdue === undefined) {
    const held = holdUntil(model, host, batch, situation);
    if (held !== undefined) return { later: held, held: true };
  }
  const { unload, loading } = size;
  return {
    candidate: {
      model,
      lane,
      batch,
      unload,
      from,
      overdue,
      rate: rate(model, lane, batch, loading, situation),
    },
  };
}

/** What a model can be worth at most, before it is known what has room: the first of its queue counts for all of them. */
export function promise(model: ModelState, { now, policy }: Situation, lanes: number): Promised {
  const { queue, costs, maxBatch, retries } = model;
  const { first } = queue;
  if (retries.length > 0 || !first) return { model, rate: Number.POSITIVE_INFINITY, overdue: -1 };
  const age = now - first.request.arrivedAt;
  const batch = Math.min(queue.items, maxBatch);
  const { base, perItem } = runTime(costs);
  const value = Math.min(queue.value, batch * first.request.weight) * (1 + Math.max(0, age) / policy.ageing);
  const time = Math.max(at(costs.gpu, batch), (base + perItem * batch) / lanes);
  return {
    model,
    rate: value / Math.max(time, Number.MIN_VALUE),
    overdue: age > policy.patience ? first.request.order : undefined,
  };
}

/** Whether `a` is to run rather than `b`. */
export function isBetter(a: Promised, b: Promised | undefined): boolean {
  if (!b) return true;
  if (a.overdue !== b.overdue) {
    return (a.overdue ?? Number.POSITIVE_INFINITY) < (b.overdue ?? Number.POSITIVE_INFINITY);
  }
  return a.rate > b.rate;
}

/**
 * When a lane that has the model is free, if it pays to wait for that lane: it is free before the model is loaded onto this
 * one. Where a run waits for less time than loading takes, a second copy of the model only takes memory: then the time
 * that a run here would wait for the GPU counts too.
 */
function loadedElsewhere(model: ModelState, lane: LaneState, now: number): number | undefined {
  if (lane.loaded.has(model)) return undefined;
  const { host } = lane;
  const { load, wait, resource } = model.costs;
  const waitMs = at(wait, 1);
  let loaded = now + load;
  if (resource === 'gpu' && waitMs <= load)
    loaded = Math.max(loaded, host.gpuDone(loaded + waitMs, now) - waitMs);
  let soonest: number | undefined;
  for (const other of host.lanes) {
    if (!other.active || !other.loaded.has(model)) continue;
    const end = host.endOf(other, now);
    // One that should have ended may take who knows how long.
    if (end > now && end <= loaded && (soonest === undefined || end < soonest)) soonest = end;
  }
  return soonest;
}

function rate(
  model: ModelState,
  lane: LaneState,
  batch: number,
  extra: number,
  situation: Situation,
): number {
  const { costs, queue, retries } = model;
  const { now, policy, costs: requestCosts } = situation;
  const portions = retries[0]?.portions ?? queue.portions(batch);
  let value = 0;
  let after = 0;
  let moved = 0;
  for (const { task, count } of portions) {
    const { request, items } = task;
    const age = now - request.arrivedAt;
    value += ((request.weight * count) / (items as number)) * (1 + age / policy.ageing);
    after += (at(requestCosts.timeAfter(task), batch) * count) / batch;
    if (task.home !== undefined && task.home !== lane.name) moved += requestCosts.inputBytes(task) * count;
  }
  const time = at(runTime(costs), batch) / parallelism(costs, lane.host, batch);
  // A run that takes no time at all goes first.
  return value / Math.max(time + extra + after + moved * policy.msPerByteMoved, Number.MIN_VALUE);
}

/**
 * The largest batch after whose run every request whose outputs stay on the host can still be finished, one after the
 * other: so no two requests can wait for the memory that the other one has.
 */
function safeBatch(model: ModelState, host: HostState, batch: number, costs: RequestCosts): number {
  for (let size = batch; size > 0; size = Math.floor(size / 2)) {
    const growth = new Map<Progress, number>();
    let output = 0;
    for (const { task, count } of model.queue.portions(size)) {
      const bytes = costs.outputStays(task) ? model.costs.output * count : 0;
      growth.set(task.request, (growth.get(task.request) ?? 0) + bytes);
      output += bytes;
    }
    if (output === 0) return size;
    const left = host.capacity.bytes - host.held - host.promised - output;
    const finishes = (request: Progress): boolean =>
      costs.bytesToFinish(request) - (host.holders.get(request) ?? 0) - (growth.get(request) ?? 0) <= left;
    if ([...growth.keys()].every(finishes) && [...host.holders.keys()].every(finishes)) return size;
  }
  return 0;
}

/** Until when it pays to wait for one more item; undefined where it does not. */
function holdUntil(
  model: ModelState,
  host: HostState,
  batch: number,
  { now, value }: Situation,
): number | undefined {
  const { costs, queue, arrivals, maxBatch } = model;
  const next = arrivals.next(now);
  // Where something else waits, or more wait than go into this run, no time is to be lost.
  if (next === undefined || batch < queue.items || batch === maxBatch || value > queue.value)
    return undefined;
  if (largestWithin(costs.memory, host.free, maxBatch) <= batch) return undefined;
  const { base, perItem } = runTime(costs);
  const saved = base / parallelism(costs, host, batch);
  const since = model.heldSince ?? now;
  if ((batch + 1) * (next - now) + batch * perItem >= saved || now - since >= saved) return undefined;
  return Math.min(next, since + saved);
}
