// How servers of today batch: in place of the scheduler, on the simulated machine and in the engine.
import { at, largestWithin } from '../../dist/infer/schedule/costs.js';

/** Requests of single models in the order of their arrival, one queue for each model. Subclasses say what may start. */
class Queues {
  lookAt;
  backlog = 0;
  models = new Map();
  lanes = new Map();
  waiting = new Map();
  active = new Map();
  #decisions = [];
  #runs = 0;

  setHost() {}

  memoryOf() {
    return { weights: 0, running: 0, held: 0 };
  }

  loadedOn(name) {
    return [...(this.lanes.get(name)?.loaded ?? [])];
  }

  addLane(name) {
    this.lanes.set(name, { name, loaded: new Set(), run: undefined });
  }

  setModel(name, costs) {
    this.models.set(name, costs);
    if (!this.waiting.has(name)) this.waiting.set(name, []);
  }

  removeModel(name) {
    this.models.delete(name);
    this.waiting.delete(name);
  }

  waitingFor(name) {
    return this.waiting.get(name)?.length ?? 0;
  }

  arrive({ id, graph, taskOf }, now) {
    const { model } = taskOf?.(0) ?? graph.steps[0];
    this.waiting.get(model).push({ id, now });
  }

  complete(id) {
    const { lane, requests } = this.active.get(id);
    this.active.delete(id);
    lane.run = undefined;
    for (const request of requests) {
      this.#decisions.push({ kind: 'end', request, outcome: { is: 'done' } });
    }
  }

  cancel(id) {
    throw new Error(`request ${id} cannot be cancelled`);
  }

  loseLane(name) {
    throw new Error(`lane ${name} cannot be lost`);
  }

  loseHost(name) {
    throw new Error(`host ${name} cannot be lost`);
  }

  fail(id, _now, { reason }) {
    throw new Error(`run ${id} has failed (${reason}): the preset does not fit`);
  }

  putBack(id) {
    throw new Error(`there was no memory for run ${id}: the preset does not fit`);
  }

  decide() {
    for (let next = this.next(); next; next = this.next()) this.#start(next);
    const decisions = this.#decisions;
    this.#decisions = [];
    return decisions;
  }

  #start({ lane, model, batch }) {
    const requests = this.waiting
      .get(model)
      .splice(0, batch)
      .map(({ id }) => id);
    const costs = this.models.get(model);
    const file = costs.file ?? model;
    const load = !lane.loaded.has(file);
    lane.loaded.add(file);
    const slices = requests.map((request) => ({ request, step: 0, from: 0, count: 1 }));
    const memory = at(costs.memory, batch);
    lane.run = { id: this.#runs++, model, lane: lane.name, batch, memory, slices, load };
    this.active.set(lane.run.id, { lane, requests });
    this.#decisions.push({ kind: 'start', run: lane.run });
  }

  /** The model whose first request has waited longest, of those that may run. */
  oldest(may = () => true) {
    let oldest;
    for (const [model, [first]] of this.waiting) {
      if (first && may(model) && (!oldest || first.now < oldest.first.now)) oldest = { model, first };
    }
    return oldest?.model;
  }
}

/** An instance of each model, whose batches are preset so that all of them fit at once. `batches` by model. */
export class Presets extends Queues {
  #batches;

  constructor(batches) {
    super();
    this.#batches = batches;
  }

  /** Each model has the lane of its number. */
  next() {
    const lanes = [...this.lanes.values()];
    for (const [index, model] of [...this.models.keys()].entries()) {
      const lane = lanes[index];
      const queue = this.waiting.get(model);
      if (lane && queue.length > 0 && !lane.run)
        return { lane, model, batch: Math.min(queue.length, presetOf(model, this.#batches)) };
    }
    return undefined;
  }
}

/** One run at a time has all the memory: the batches are preset for that. The longest waiting model goes first. */
export class RateLimiter extends Queues {
  #batches;

  constructor(batches) {
    super();
    this.#batches = batches;
  }

  next() {
    if (this.active.size > 0) return undefined;
    const model = this.oldest();
    if (model === undefined) return undefined;
    const [lane] = this.lanes.values();
    return lane && { lane, model, batch: Math.min(this.waitingFor(model), presetOf(model, this.#batches)) };
  }
}

/** Names in the engine have the version behind them. */
function presetOf(model, batches) {
  return batches[model.split('@')[0]];
}

/** The batches with which an instance of each model fits beside all others: of equal bytes, at least one item. */
export function presetsThatFitTogether(models, bytes) {
  const weights = Object.values(models).reduce((sum, costs) => sum + costs.weights, 0);
  const share = (bytes - weights) / Object.keys(models).length;
  const batches = byModel(models, (costs) => Math.max(1, largestWithin(costs.memory, share, costs.maxBatch)));
  const sum = Object.entries(models).reduce(
    (all, [name, costs]) => all + at(costs.memory, batches[name]),
    weights,
  );
  if (sum > bytes) throw new Error(`one item of each model takes ${sum} bytes, and there are ${bytes}`);
  return batches;
}

/** The batches with which each model fits where no other runs. All are loaded. */
export function presetsThatFitAlone(models, bytes) {
  const weights = Object.values(models).reduce((sum, costs) => sum + costs.weights, 0);
  return byModel(models, (costs) => largestWithin(costs.memory, bytes - weights, costs.maxBatch));
}

export function noBatches(models) {
  return byModel(models, () => 1);
}

function byModel(models, value) {
  return Object.fromEntries(Object.entries(models).map(([name, costs]) => [name, value(costs)]));
}
