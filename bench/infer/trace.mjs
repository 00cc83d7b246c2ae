// A trace of bursts: each burst has requests to one random model, and comes at a random time.

/** Random, the same each time. */
export function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * Bursts by model and time in milliseconds, as many as `bursts`. `work` is what a burst of each model takes of the GPU; the
 * mean load is `load`. `end` is the time of the burst that would come next.
 */
export function burstsOf({ work, load, bursts, seed }) {
  const next = random(seed);
  const names = Object.keys(work);
  const mean = names.reduce((sum, name) => sum + work[name], 0) / names.length / load;
  const all = [];
  let at = 0;
  for (let burst = 0; burst < bursts; burst += 1) {
    all.push({ at, model: names[Math.floor(next() * names.length)] });
    at += -Math.log(1 - next()) * mean;
  }
  return { bursts: all, end: at };
}

/**
 * The trace as events of a simulation. Of `bytes` another tenant has a third, from the first third of the time to the
 * second. A burst's requests come at its time, or at its own times `arrivals`.
 */
export function eventsOf({ bursts, end }, { burst, bytes }) {
  const least = withoutTenant(bytes);
  const events = [];
  for (const [index, { at, model, arrivals }] of bursts.entries()) {
    const graph = { name: model, steps: [{ model, after: [] }] };
    for (let item = 0; item < burst; item += 1)
      events.push({ at: arrivals?.[item] ?? at, request: { id: index * burst + item, graph, items: 1 } });
  }
  events.push({ at: end / 3, host: 'host', capacity: { bytes: least, limit: bytes } });
  events.push({ at: (2 * end) / 3, host: 'host', capacity: { bytes, limit: bytes } });
  return events;
}

/** The trace, with the times at which its requests came to an engine, in `{ model, at }` by their order. */
export function asItCame({ bursts, end }, seen, burst) {
  const start = seen[0].at;
  const timesOf = (name) => seen.filter(({ model }) => model === name).map(({ at }) => at - start);
  const left = Object.fromEntries(bursts.map(({ model }) => [model, timesOf(model)]));
  return {
    end,
    bursts: bursts.map((each) => ({ ...each, arrivals: left[each.model].splice(0, burst) })),
  };
}

/** The bytes that are there while another tenant has its third. */
export function withoutTenant(bytes) {
  return Math.round((bytes * 2) / 3);
}

/** One simulated host with so many lanes, whose runs share the GPU. */
export function simulatedHost(bytes, lanes) {
  return {
    name: 'host',
    capacity: { bytes, limit: bytes },
    gpu: 'shared',
    lanes: Array.from({ length: lanes }, (_, index) => ({
      name: `lane${index}`,
      host: 'host',
      resource: 'gpu',
    })),
  };
}

/** Mean and 99th percentile of latencies, in milliseconds. */
export function latencies(all) {
  const ms = [...all].sort((a, b) => a - b);
  return {
    meanMs: ms.reduce((sum, each) => sum + each, 0) / ms.length,
    p99Ms: ms[Math.floor(ms.length * 0.99)],
  };
}
