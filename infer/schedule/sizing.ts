import { type Affine, at, largestWithin, type ModelCosts } from './costs.js';
import type { HostState, LaneState } from './hosts.js';
import type { ModelState } from './models.js';
import type { Situation } from './situation.js';

/** How many items a run has, and what has to happen before it. */
export interface Size {
  readonly batch: number;
  /** When there is memory for it. */
  readonly from: number;
  /** Models that give theirs back for it. */
  readonly unload: readonly (readonly [LaneState, ModelState])[];
  /** The time that loading takes, of the run's own model and of the unloaded ones when they run again. */
  readonly loading: number;
}

/**
 * How much each later run counts for what waits: half of all that is there waits for it, and some of what comes
 * meanwhile.
 */
const LATER_RUNS = 2 / 3;

/**
 * Sizes the next run of a model on a lane by the memory that is free. Where that is little beside what waits, it may be
 * better to unload models that are idle, or to wait until the next run of the host gives back its memory: that is the
 * case where an item takes less of the host's time then. Undefined where there is no memory for a single item.
 */
export function sizeOf(
  model: ModelState,
  lane: LaneState,
  most: number,
  situation: Situation,
): Size | undefined {
  const { costs } = model;
  const { host } = lane;
  const { now } = situation;
  const loaded = lane.loaded.has(model);
  const load = loaded ? 0 : costs.load;
  const room = host.free - (loaded ? 0 : costs.weights) - situation.reserved(host, model);
  const wanted = (bytes: number): number => {
    const fit = largestWithin(costs.memory, bytes, most);
    // Items that run again stay together.
    if (fit === 0 || model.retries.length > 0) return fit;
    return Math.min(fit, worthwhile(model, host, fit, load, situation));
  };
  const lanes = host.laneCount(costs.resource);
  const timeOfItem = ({ batch, from, loading }: Size): number =>
    Math.max(at(costs.gpu, batch), (from - now + loading + at(runTime(costs), batch)) / lanes) / batch;

  const atOnce = wanted(room);
  let best: Size | undefined =
    atOnce > 0 ? { batch: atOnce, from: now, unload: [], loading: load } : undefined;
  const consider = (size: Size | undefined): void => {
    if (size && (!best || (size.batch > best.batch && timeOfItem(size) < timeOfItem(best)))) best = size;
  };
  // More memory would change nothing.
  if (atOnce === most || atOnce < largestWithin(costs.memory, room, most)) return best;
  consider(withUnloading(model, lane, room, load, now, wanted));
  const next = nextEnd(host, now);
  if (best && next && next.at > now) {
    consider({ batch: wanted(room + next.bytes), from: next.at, unload: [], loading: load });
  }
  return best;
}

/** A run's time by itself, without loading. */
export function runTime({ gpu, wait }: ModelCosts): Affine {
  return { base: gpu.base + wait.base, perItem: gpu.perItem + wait.perItem };
}

/** How many runs of a model a host has under way at once to good purpose: its lanes, its GPU and its memory bound them. */
export function parallelism(
  { gpu, wait, memory, resource }: ModelCosts,
  host: HostState,
  batch: number,
): number {
  const busy = at(gpu, batch);
  const all = busy + at(wait, batch);
  const lanes = host.laneCount(resource);
  const byTime = busy * lanes <= all ? lanes : all / busy;
  const bytes = at(memory, batch);
  if (bytes === 0) return byTime;
  return Math.min(byTime, Math.max(1, Math.floor((host.capacity.bytes - host.held) / bytes)));
}

/** The size that unloading idle models makes room for: as few as will do, the least recently used first. */
function withUnloading(
  model: ModelState,
  lane: LaneState,
  room: number,
  load: number,
  now: number,
  wanted: (bytes: number) => number,
): Size | undefined {
  const idle = [...lane.host.idleModels(model, lane)];
  if (idle.length === 0) return undefined;
  const batch = wanted(idle.reduce((sum, [, { costs }]) => sum + costs.weights, room));
  if (batch === 0) return undefined;
  const needed = at(model.costs.memory, batch);
  const unload: [LaneState, ModelState][] = [];
  let free = room;
  let loading = load;
  for (const each of idle) {
    if (free >= needed) break;
    const { costs } = each[1];
    unload.push(each);
    free += costs.weights;
    loading += costs.load;
  }
  return { batch, from: now, unload, loading };
}

/** When the next run of a host is expected to end, and what it gives back then. */
function nextEnd(host: HostState, now: number): { at: number; bytes: number } | undefined {
  let next: { at: number; bytes: number } | undefined;
  for (const lane of host.lanes) {
    if (!lane.active || lane.active.memory === 0) continue;
    const end = host.endOf(lane, now);
    if (!next || end < next.at) next = { at: end, bytes: lane.active.memory };
  }
  return next;
}

/**
 * The batch with which all that waits is done soonest, in the mean. A larger one saves the others its fixed part, and
 * delays its own items; with a smaller one more runs have room beside each other. With `k` runs at once of time `t`, of
 * which the GPU has `g`, one ends each `max(g, t / k)`; so the mean of `r` runs is `t + (r - 1) / 2 * max(g, t / k)`.
 * For each `k` that is least near `sqrt(2 n fixed / (k perItem))`, with `n` items waiting.
 */
function worthwhile(
  { queue, costs }: ModelState,
  host: HostState,
  fit: number,
  load: number,
  { value, growth, hosts }: Situation,
): number {
  // All that waits, as if it were items of this model, shared by the hosts.
  const items = Math.max(1, value / (queue.value / queue.items) / hosts.size);
  const delayed = items * growth;
  const { base, perItem } = runTime(costs);
  const room = host.capacity.bytes - host.held;
  const lanes = host.laneCount(costs.resource);
  let best = 1;
  let least = Number.POSITIVE_INFINITY;
  for (let atOnce = 1; atOnce <= lanes; atOnce += 1) {
    const most = atOnce === 1 ? fit : largestWithin(costs.memory, room / atOnce - costs.weights, fit);
    if (most === 0) break;
    const gpu = at(costs.gpu, most);
    const servers = gpu > 0 ? Math.min(atOnce, at(runTime(costs), most) / gpu) : atOnce;
    const limit =
      perItem > 0 ? Math.round(Math.sqrt((2 * delayed * (base + load)) / (servers * perItem))) : most;
    const batch = Math.max(1, Math.min(most, limit, Math.ceil(items / Math.ceil(servers))));
    const time = base + perItem * batch + load;
    const mean = time + (delayed / batch - 1) * LATER_RUNS * Math.max(at(costs.gpu, batch), time / atOnce);
    if (mean < least) [best, least] = [batch, mean];
  }
  // Runs of about the same size end sooner in sum than full ones and a rest.
  return Math.ceil(queue.items / Math.ceil(queue.items / best));
}
