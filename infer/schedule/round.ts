import {
  type Candidate,
  type Evaluation,
  evaluate,
  isAhead,
  isBetter,
  type Promised,
  promise,
} from './choice.js';
import { at, RESOURCES, type Resource } from './costs.js';
import type { HostState, LaneState } from './hosts.js';
import type { ModelState } from './models.js';
import type { Policy } from './policy.js';
import type { OpenRequests } from './requests/open-requests.js';
import type { Task } from './requests/progress.js';
import type { Site } from './site.js';
import type { Situation } from './situation.js';

export interface RoundOptions {
  readonly now: number;
  readonly policy: Policy;
  readonly site: Site;
  readonly requests: OpenRequests;
  /** How many requests a delay affects, for each that waits now. */
  readonly growth: number;
  /** Starts a run at once: its items wait no longer, and its lane and its memory are taken when this returns. */
  start(candidate: Candidate): void;
}

export interface RoundEnd {
  /** The resources for which something waits, and nothing starts now or at a known time. */
  readonly stuck: Set<Resource>;
  /** When a run is to start that starts later: look again then. Infinite where there is none. */
  readonly later: number;
}

/**
 * One round of choices at one moment: which of the waiting models run now, and on which lanes. It is used once. `choice.ts`
 * compares two runs; this goes through all of them, until no more can start.
 */
export class Round {
  readonly #options: RoundOptions;
  /** The runs that start later, each with a lane that stays free for it. */
  readonly #planned = new Map<LaneState, Candidate>();

  constructor(options: RoundOptions) {
    this.#options = options;
  }

  /**
   * Starts runs, the best first, until none is left. If the best run would only wait for the GPU, it starts later, and
   * the other runs leave it its lane and its memory.
   */
  run(): RoundEnd {
    const { now, site, requests, start } = this.#options;
    const planned = this.#planned;
    const gathering = new Set<ModelState>();
    let later = Number.POSITIVE_INFINITY;
    const stuck = new Set([...requests.wanted].map(({ costs }) => costs.resource));
    for (const resource of RESOURCES) {
      // A run that starts leaves less for the others. So the value that was found for them before is an upper bound.
      const ranking: Promised[] = [];
      let situation = this.#situation(resource);
      if (!situation) continue;
      const lanes = site.mostLanes(resource);
      for (const model of requests.wanted) {
        if (model.costs.resource === resource) rank(ranking, promise(model, situation, lanes));
      }
      let found = new Set<Promised>();
      for (let best = ranking.pop(); best && situation; best = ranking.pop()) {
        const { model } = best;
        if (!found.has(best)) {
          const evaluation = this.#evaluate(model, situation);
          if ('later' in evaluation) {
            later = Math.min(later, evaluation.later);
            if (evaluation.later < Number.POSITIVE_INFINITY) stuck.delete(resource);
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
        stuck.delete(resource);
        if (candidate.from > now) {
          planned.set(candidate.lane, candidate);
          gathering.add(model);
          later = Math.min(later, candidate.from);
        } else {
          start(candidate);
        }
        found = new Set();
        situation = this.#situation(resource);
        if (situation && candidate.from <= now && requests.wanted.has(model)) {
          rank(ranking, promise(model, situation, lanes));
        }
      }
    }
    for (const model of requests.wanted) {
      model.gatheredFrom = gathering.has(model) ? (model.gatheredFrom ?? now) : undefined;
    }
    return { stuck, later };
  }

  /** The best run of a model on an idle lane. Of each host, take the lane with the inputs, or with the model loaded. */
  #evaluate(model: ModelState, situation: Situation): Evaluation {
    let best: Candidate | undefined;
    let later: Evaluation = { later: Number.POSITIVE_INFINITY };
    const home = model.queue.first?.home;
    const { cleared } = situation;
    for (const host of situation.hosts) {
      if (host === cleared?.host && model !== cleared.model) continue;
      let lane: LaneState | undefined;
      for (const each of host.lanes) {
        if (each.active || each.resource !== model.costs.resource || this.#planned.has(each)) continue;
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

  /** The situation of a choice for the resource. Undefined if none of its lanes is idle, or nothing waits for it. */
  #situation(resource: Resource): Situation | undefined {
    const { now, policy, site, requests, growth } = this.#options;
    const planned = this.#planned;
    const hosts = new Set<HostState>();
    let idle = false;
    for (const lane of site.lanes.values()) {
      if (lane.resource !== resource) continue;
      hosts.add(lane.host);
      idle ||= !lane.active && !planned.has(lane);
    }
    if (!idle) return undefined;
    let value = 0;
    let waits = false;
    let least = Number.POSITIVE_INFINITY;
    for (const { costs, queue, retries } of requests.wanted) {
      if (costs.resource !== resource) continue;
      waits = true;
      value += queue.value + retries.length;
      least = Math.min(least, queue.first?.request.tenant.had[resource] ?? least);
    }
    // Not by the value: weights may be so small that their sum is 0.
    if (!waits) return undefined;
    if (least < Number.POSITIVE_INFINITY) requests.shares.look(resource, least);
    const { patience } = policy;
    let oldest: Task | undefined;
    for (const { costs, queue, retries } of requests.wanted) {
      if (costs.resource !== resource) continue;
      // Items that run again go first, whoever's they are.
      const again = retries[0]?.portions[0]?.task;
      const first = again ?? queue.first;
      if (!first || (!again && isAhead(first, resource, { least, policy }))) continue;
      if (!oldest || first.request.order < oldest.request.order) oldest = first;
    }
    const kept =
      oldest && now - oldest.request.arrivedAt > patience ? site.models.get(oldest.model) : undefined;
    return {
      now,
      policy,
      costs: requests.costs,
      value,
      least,
      hosts,
      cleared: this.#cleared(resource, hosts),
      growth,
      planned: (host) => [...planned.values()].filter(({ lane }) => lane.host === host),
      reserved: (host, model) => {
        let bytes = kept && kept !== model && !isPlanned(kept, planned) ? bytesForOne(kept, host) : 0;
        for (const [lane, candidate] of planned) if (lane.host === host) bytes += bytesOf(candidate);
        return bytes;
      },
    };
  }

  /**
   * A host that other models leave idle, because an item needs it for itself. Otherwise runs of other models would follow
   * one another there. It is the host with the fewest runs; none if a host is idle already.
   */
  #cleared(resource: Resource, hosts: ReadonlySet<HostState>): Situation['cleared'] {
    for (const model of this.#options.requests.wanted) {
      if (model.costs.resource !== resource || !model.retries[0]?.alone) continue;
      const [host] = [...hosts]
        .filter((each) => bytesForOne(model, each) > 0)
        .sort((a, b) => a.runs - b.runs);
      if (host && host.runs > 0) return { model, host };
    }
    return undefined;
  }
}

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
