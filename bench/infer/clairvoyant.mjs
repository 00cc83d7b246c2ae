// Two bounds to compare a scheduler with. One is the best schedule of a search that knows all bursts before the first. The
// other is a mean latency that no schedule can be below.
import { at } from '../../dist/infer/schedule/costs.js';
import { Scheduler } from '../../dist/infer/schedule/scheduler.js';
import { simulate } from '../../dist/infer/simulation/machine.js';
import { eventsOf, latencies, random, simulatedHost } from './trace.mjs';

/** How many schedules are tried. */
const TRIES = 150;
const LANES = [1, 2, 4, 6];

/**
 * Seeds of simulations. Runs take random times, so a schedule is judged by the mean of several simulations. A search finds
 * schedules that are lucky with the times that it sees. So it chooses by some seeds, and other seeds judge its choice.
 */
const CHOOSING = [1, 2, 3];
const JUDGING = [11, 12, 13, 14, 15, 16, 17, 18];

/** The mean and the 99th percentile of latencies that Farlight's scheduler has in simulations. */
export function predict(trace, known) {
  return simulated(trace, known, {}, JUDGING);
}

/**
 * Begins with the scheduler and changes one thing at a time, as long as the mean latency falls: the weight of a burst, the
 * largest batch of a model, the number of lanes.
 */
export function searchBest(trace, known, tries = TRIES) {
  const { models } = known;
  const next = random(1);
  const names = Object.keys(models);
  const tried = (plan) => ({ plan, result: simulated(trace, known, plan, CHOOSING) });
  const better = (a, b) => (b && b.result.meanMs <= a.result.meanMs ? b : a);
  let best;
  for (const lanes of LANES) {
    const weights = trace.bursts.map(() => 1);
    const batches = Object.fromEntries(names.map((name) => [name, models[name].maxBatch]));
    best = better(tried({ weights, batches, lanes }), best);
  }
  for (let each = 0; each < tries; each += 1) {
    const { weights, batches, lanes } = best.plan;
    const plan = { weights: [...weights], batches: { ...batches }, lanes };
    const what = next();
    if (what < 0.7) plan.weights[Math.floor(next() * weights.length)] *= next() < 0.5 ? 4 : 1 / 4;
    else if (what < 0.95) {
      const name = names[Math.floor(next() * names.length)];
      plan.batches[name] = 1 + Math.floor(next() * models[name].maxBatch);
    } else plan.lanes = LANES[Math.floor(next() * LANES.length)];
    best = better(tried(plan), best);
  }
  return simulated(trace, known, best.plan, JUDGING);
}

/** The mean and the 99th percentile of latencies with a plan, each the mean of simulations with these seeds. */
function simulated(trace, known, plan, seeds) {
  const { models, bytes, burst, times } = known;
  const { weights, batches, lanes = known.lanes } = plan;
  const limited = Object.fromEntries(
    Object.entries(models).map(([name, costs]) => [
      name,
      { ...costs, maxBatch: batches?.[name] ?? costs.maxBatch },
    ]),
  );
  const events = eventsOf(trace, { burst, bytes }).map((event) => {
    const weight = event.request && weights?.[Math.floor(event.request.id / burst)];
    return weight ? { ...event, request: { ...event.request, weight } } : event;
  });
  const results = seeds.map((seed) => {
    const hosts = [simulatedHost(bytes, lanes)];
    const { ends } = simulate({
      dispatcher: new Scheduler(),
      hosts,
      models: limited,
      events,
      times: times(seed),
    });
    return latencies([...ends.values()].map(({ ms }) => ms));
  });
  const mean = (of) => results.reduce((sum, each) => sum + of(each), 0) / results.length;
  return { meanMs: mean(({ meanMs }) => meanMs), p99Ms: mean(({ p99Ms }) => p99Ms) };
}

/**
 * A mean latency that no schedule on one GPU is below, even with full knowledge and unlimited memory. Each item first waits
 * as an item that runs alone. Then it uses the GPU for its part of the time of a full batch. The item that needs the least
 * time goes first, and interrupts others: on one machine this order has the least mean.
 */
export function leastMean({ bursts }, { models, burst }) {
  const coming = bursts
    .map(({ at: due, model }) => {
      const { gpu, wait } = models[model];
      return { due, from: due + at(wait, 1), items: burst, each: at(gpu, burst) / burst, begun: 0 };
    })
    .sort((a, b) => a.from - b.from);
  const open = [];
  let now = 0;
  let sum = 0;
  while (coming.length > 0 || open.length > 0) {
    if (open.length === 0) now = Math.max(now, coming[0].from);
    while (coming.length > 0 && coming[0].from <= now) open.push(coming.shift());
    open.sort((a, b) => a.each - a.begun - (b.each - b.begun));
    const [first] = open;
    const end = now + first.each - first.begun;
    const next = coming[0]?.from ?? Number.POSITIVE_INFINITY;
    if (next < end) {
      first.begun += next - now;
      now = next;
      continue;
    }
    now = end;
    sum += now - first.due;
    first.begun = 0;
    first.items -= 1;
    if (first.items === 0) open.shift();
  }
  return sum / (bursts.length * burst);
}
