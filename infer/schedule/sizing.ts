import { at, largestWithin, type ModelCosts, runTime } from './costs.js';
import type { HostState, LaneState } from './hosts.js';
import type { ModelFile, ModelState } from './models.js';
import type { Situation } from './situation.js';

/** The size of a run, and what must happen before it. */
export interface Size {
  readonly batch: number;
  /** When the run has memory. */
  readonly from: number;
  /** Files to unload for it. */
  readonly unload: readonly (readonly [LaneState, ModelFile])[];
  /** The time of loading: of the run's own model, and of the unloaded models when they run again. */
  readonly loading: number;
}

/**
 * The weight of each later run: on average half of all waiting items wait for it, and some of the items that arrive
 * meanwhile.
 */
const LATER_RUNS = 2 / 3;

/**
 * Sizes the next run of a model on a lane by the free memory. If that is little for the waiting items, there are two other
 * ways. Unload idle models, if that takes less host time per item. Or wait until the next run of the host gives back its
 * memory. Undefined if there is no memory for a single item.
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
  const loaded = lane.loaded.has(model.file);
  const load = loaded ? 0 : costs.load;
  const room = host.free - (loaded ? 0 : costs.weights) - situation.reserved(host, model);
  const wanted = (bytes: number): number => {
    const fit = largestWithin(costs.memory, bytes, most);
    // Items that run again stay in one run.
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
  if (best && next) {
    const size = { batch: wanted(room + next.bytes), from: next.at, unload: [], loading: load };
    if (size.batch > best.batch && waitingPays(model, host, best, size, room + next.bytes, situation))
      best = size;
  }
  return best;
}

/**
 * Whether `later`, which has more items and waits for `room`, is better than `first` now and a run of the other items
 * after it. Each way is judged by the times at which its items end. All else that waits counts with the last of them.
 */
function waitingPays(
  { costs, queue }: ModelState,
  host: HostState,
  first: Size,
  later: Size,
  room: number,
  { now, value, growth, planned }: Situation,
): boolean {
  const ends = (batch: number, from: number, after: number): number => {
    const reached = from + first.loading + at(costs.wait, batch);
    const gpuMs = at(costs.gpu, batch);
    if (gpuMs === 0) return reached;
    return Math.max(reached, after, host.gpuDone(reached, now, planned(host))) + gpuMs;
  };
  const rest = later.batch - first.batch;
  const besideFirst = at(costs.memory, first.batch) + at(costs.memory, rest) <= room;
  const firstEnds = ends(first.batch, now, now);
  const restEnds = ends(rest, besideFirst ? later.from : Math.max(later.from, firstEnds), firstEnds);
  const laterEnds = ends(later.batch, later.from, now);
  // Only items that run again may wait.
  const each = queue.items > 0 ? queue.value / queue.items : 1;
  const others = Math.max(0, value - each * later.batch) * growth;
  return (
    (each * later.batch + others) * laterEnds <
    each * (first.batch * firstEnds + rest * restEnds) + others * restEnds
  );
}

/** How many runs of a model a host can usefully have at once: its lanes, its GPU and its memory limit the number. */
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

/** The size if idle models are unloaded: as few models as possible, the least recently used first. */
function withUnloading(
  model: ModelState,
  lane: LaneState,
  room: number,
  load: number,
  now: number,
  wanted: (bytes: number) => number,
): Size | undefined {
  const idle = [...lane.host.idleFiles(model, lane)];
  if (idle.length === 0) return undefined;
  const batch = wanted(idle.reduce((sum, [, { weights }]) => sum + weights, room));
  if (batch === 0) return undefined;
  const needed = at(model.costs.memory, batch);
  const unload: [LaneState, ModelFile][] = [];
  let free = room;
  let loading = load;
  for (const each of idle) {
    if (free >= needed) break;
    const { weights, load: again } = each[1];
    unload.push(each);
    free += weights;
    loading += again;
  }
  return { batch, from: now, unload, loading };
}

/** When the next run of a host is expected to end, and the bytes that it then gives back. */
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
 * The batch with the smallest mean time for all waiting items. A larger batch has fewer fixed parts, but delays its own
 * items. With a smaller batch more runs fit beside each other. Say `k` runs at once take the time `t` each, of which the
 * GPU works `g`. Then a run ends every `max(g, t / k)`, and the mean of `r` runs is `t + (r - 1) / 2 * max(g, t / k)`.
 * With `n` items waiting, this is smallest near `sqrt(2 n fixed / (k perItem))` for each `k`.
 */
function worthwhile(
  { queue, costs, maxBatch }: ModelState,
  host: HostState,
  fit: number,
  load: number,
  { value, growth, hosts }: Situation,
): number {
  // Everything that waits, counted as items of this model, and divided among the hosts.
  const items = Math.max(1, value / (queue.value / queue.items) / hosts.size);
  const delayed = items * growth;
  const { base, perItem } = runTime(costs);
  const room = host.capacity.bytes - host.held;
  const lanes = host.laneCount(costs.resource);
  let best = 1;
  let least = Number.POSITIVE_INFINITY;
  for (let atOnce = 1; atOnce <= lanes; atOnce += 1) {
    const most = largestWithin(costs.memory, room / atOnce - costs.weights, maxBatch);
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
  // Runs of about the same size have a smaller sum of end times than full runs and a small rest.
  return Math.min(fit, Math.ceil(queue.items / Math.ceil(queue.items / best)));
}
