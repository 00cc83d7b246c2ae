// The best schedule that a search finds which knows all bursts before the first. It bounds from below what could be had.
import { Scheduler } from '../../dist/infer/schedule/scheduler.js';
import { simulate } from '../../dist/infer/simulation/machine.js';
import { eventsOf, latencies, random, simulatedHost } from './trace.mjs';

/** How many schedules are tried. */
const TRIES = 150;
const LANES = [1, 2, 4, 6];

/**
 * Begins with the scheduler and changes one thing at a time, as long as the mean latency falls: the weight of a burst, the
 * largest batch of a model, the number of lanes.
 */
export function searchBest(trace, { models, bytes, burst, tries = TRIES }) {
  const events = eventsOf(trace, { burst, bytes });
  const next = random(1);
  const names = Object.keys(models);
  const tried = ({ weights, batches, lanes }) => {
    const limited = Object.fromEntries(
      names.map((name) => [name, { ...models[name], maxBatch: batches[name] }]),
    );
    const weighted = events.map((event) => {
      const weight = event.request && weights[Math.floor(event.request.id / burst)];
      return weight ? { ...event, request: { ...event.request, weight } } : event;
    });
    const hosts = [simulatedHost(bytes, lanes)];
    const { ends } = simulate({ dispatcher: new Scheduler(), hosts, models: limited, events: weighted });
    return latencies([...ends.values()].map(({ ms }) => ms));
  };
  let best;
  for (const lanes of LANES) {
    const plan = {
      weights: trace.bursts.map(() => 1),
      batches: Object.fromEntries(names.map((name) => [name, models[name].maxBatch])),
      lanes,
    };
    const result = tried(plan);
    if (!best || result.meanMs < best.result.meanMs) best = { plan, result };
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
    const result = tried(plan);
    if (result.meanMs < best.result.meanMs) best = { plan, result };
  }
  return best.result;
}
