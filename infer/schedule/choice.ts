import { at, largestWithin, type Resource, runTime } from './costs.js';
import type { GpuRun } from './gpu-load.js';
import type { HostState, LaneState } from './hosts.js';
import type { ModelFile, ModelState } from './models.js';
import type { Progress, Task } from './requests/progress.js';
import type { RequestCosts } from './requests/request-costs.js';
import type { Situation } from './situation.js';
import { parallelism, sizeOf } from './sizing.js';

/** The value of a run of a model, or an upper bound. */
export interface Promised {
  readonly model: ModelState;
  /** The value, by the run's time and by the time that its requests take after it. */
  readonly rate: number;
  /** Whether its first request is of a tenant that has had much more time than another one that waits. */
  readonly ahead: boolean;
  /** The order of its first request, if that one has waited too long. */
  readonly overdue: number | undefined;
}

/** A run that could start now, or a little later. */
export interface Candidate extends Promised, GpuRun {
  readonly lane: LaneState;
  readonly batch: number;
  readonly unload: readonly (readonly [LaneState, ModelFile])[];
  /** When to start it. Before this time the run would only wait for the GPU. */
  readonly from: number;
}

/** A candidate, or the time to look again: infinity if only an event can change the result. */
export type Evaluation =
  | { readonly candidate: Candidate }
  | {
      readonly later: number;
      /** The run could start, but waits for a fuller batch. */
      readonly held?: boolean;
    };

const NEVER: Evaluation = { later: Number.POSITIVE_INFINITY };

/**
 * Finds the best run of a model on an idle lane.
 *
 * Two things limit the batch: memory, and the point where a larger batch delays more than it saves. A run that would
 * only wait for the GPU does not start yet. More items may arrive before the GPU is free.
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
  const gpuMs = at(costs.gpu, batch);
  const untilGpu = at(costs.wait, batch) + (lane.loaded.has(model.file) ? 0 : costs.load);
  if (gpuMs > 0) {
    // A run that reaches the GPU at the same time goes first: otherwise both would end late.
    const reaches = now + untilGpu + policy.lead;
    from = Math.max(from, host.gpuDone(reaches, now, situation.planned(host)) - policy.lead - untilGpu);
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
      reachesGpu: Math.max(from, now) + untilGpu,
      gpuMs,
      ahead: first !== undefined && isAhead(first, costs.resource, situation),
      overdue,
      rate: rate(model, lane, batch, loading, situation),
    },
  };
}

/** Whether the task's tenant has had so much more time than another tenant that the other's runs go first. */
export function isAhead(
  { request }: Task,
  resource: Resource,
  { least, policy }: Pick<Situation, 'least' | 'policy'>,
): boolean {
  return request.tenant.had[resource] > least + policy.tenantLead;
}

/** An upper bound of a model's value, before the memory is known: the first item of its queue counts for all. */
export function promise(model: ModelState, situation: Situation, lanes: number): Promised {
  const { now, policy } = situation;
  const { queue, costs, maxBatch, retries } = model;
  const { first } = queue;
  if (retries.length > 0 || !first) {
    return { model, rate: Number.POSITIVE_INFINITY, ahead: false, overdue: -1 };
  }
  const age = now - first.request.arrivedAt;
  // Of several tenants, the next one's first item may be neither the heaviest nor the oldest.
  let weight = first.request.weight;
  let oldest = age;
  for (const { request } of queue.firsts) {
    weight = Math.max(weight, request.weight);
    oldest = Math.max(oldest, now - request.arrivedAt);
  }
  const batch = Math.min(queue.items, maxBatch);
  const { base, perItem } = runTime(costs);
  const value = Math.min(queue.value, batch * weight) * (1 + Math.max(0, oldest) / policy.ageing);
  const time = Math.max(at(costs.gpu, batch), (base + perItem * batch) / lanes);
  return {
    model,
    rate: value / Math.max(time, Number.MIN_VALUE),
    ahead: isAhead(first, costs.resource, situation),
    overdue: age > policy.patience ? first.request.order : undefined,
  };
}

/** Whether `a` runs before `b`. */
export function isBetter(a: Promised, b: Promised | undefined): boolean {
  if (!b) return true;
  if (a.ahead !== b.ahead) return b.ahead;
  if (a.overdue !== b.overdue) {
    return (a.overdue ?? Number.POSITIVE_INFINITY) < (b.overdue ?? Number.POSITIVE_INFINITY);
  }
  return a.rate > b.rate;
}

/**
 * When a lane that has the model is free, if it pays to wait for that lane: if it is free before the model would be loaded
 * here. If a run waits for less time than loading takes, a second copy of the model only takes memory. Then the time that
 * a run here would wait for the GPU counts too.
 */
function loadedElsewhere(model: ModelState, lane: LaneState, now: number): number | undefined {
  if (lane.loaded.has(model.file)) return undefined;
  const { host } = lane;
  const { load, wait, resource } = model.costs;
  const waitMs = at(wait, 1);
  let loaded = now + load;
  if (resource === 'gpu' && waitMs <= load)
    loaded = Math.max(loaded, host.gpuDone(loaded + waitMs, now) - waitMs);
  let soonest: number | undefined;
  for (const other of host.lanes) {
    if (!other.active || !other.loaded.has(model.file)) continue;
    const end = host.endOf(other, now);
    if (end <= loaded && (soonest === undefined || end < soonest)) soonest = end;
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
  // A run that takes no time goes first.
  return value / Math.max(time + extra + after + moved * policy.msPerByteMoved, Number.MIN_VALUE);
}

/**
 * The largest safe batch: after it the host can still finish every request that keeps outputs there, one after the
 * other. So no two requests wait for each other's memory.
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

/** The latest time until which waiting for one more item pays; undefined if it does not pay. */
function holdUntil(
  model: ModelState,
  host: HostState,
  batch: number,
  { now, value }: Situation,
): number | undefined {
  const { costs, queue, arrivals, maxBatch } = model;
  const next = arrivals.next(now);
  // Do not wait if other models wait, or if more items wait than fit into this run.
  if (next === undefined || batch < queue.items || batch === maxBatch || value > queue.value)
    return undefined;
  if (largestWithin(costs.memory, host.free, maxBatch) <= batch) return undefined;
  const { base, perItem } = runTime(costs);
  const saved = base / parallelism(costs, host, batch);
  const since = model.heldSince ?? now;
  if ((batch + 1) * (next - now) + batch * perItem >= saved || now - since >= saved) return undefined;
  return Math.min(next, since + saved);
}
