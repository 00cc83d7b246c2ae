// How long the scheduler thinks: 10,000 requests wait for 50 models, and all of them are run.
import { Scheduler } from '../../dist/infer/schedule/scheduler.js';

const MODELS = 50;
const WAITING = 10_000;
const LANES = 4;
const MIB = 1 << 20;

/** How often the same trace runs. The same events have the same decisions, so each is measured as often. */
const REPEATS = 3;

/**
 * Microseconds for each task in all, and milliseconds of the longest decision. `maxBatch` 1 has the most decisions.
 *
 * Of each decision the shortest time counts: processor time has that of V8's compiler and collector in it, which work in
 * other threads and come at another decision each time.
 */
export function measureDecisions(maxBatch) {
  const runs = Array.from({ length: REPEATS }, () => runAll(maxBatch));
  const decisions = runs[0].decisions.map((_, at) => Math.min(...runs.map((run) => run.decisions[at])));
  return {
    usPerTask: Math.min(...runs.map(({ micros }) => micros)) / WAITING,
    longestMs: decisions.reduce((most, each) => Math.max(most, each), 0) / 1000,
  };
}

/** The processor time of all of it, and of each decision, in microseconds. */
function runAll(maxBatch) {
  const scheduler = new Scheduler();
  const bytes = 4096 * MIB;
  scheduler.setHost('host', { bytes, limit: bytes });
  for (let lane = 0; lane < LANES; lane += 1)
    scheduler.addLane(`lane${lane}`, { host: 'host', resource: 'gpu' });
  const graphs = [];
  for (let index = 0; index < MODELS; index += 1) {
    scheduler.setModel(`m${index}`, {
      resource: 'gpu',
      maxBatch,
      weights: (1 + (index % 7)) * 20 * MIB,
      memory: { base: 10 * MIB, perItem: (1 + (index % 5)) * 8 * MIB },
      output: 0,
      gpu: { base: 2 + (index % 3), perItem: 1 + (index % 4) },
      wait: { base: 30, perItem: 0 },
      load: 100,
    });
    graphs.push({ name: `m${index}`, steps: [{ model: `m${index}`, after: [] }] });
  }
  // Processor time: others may use the machine.
  const micros = () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  const began = micros();
  const times = [];
  for (let id = 0; id < WAITING; id += 1) {
    scheduler.arrive({ id, graph: graphs[(id * 7) % MODELS], items: 1, deadline: 1e9 + id }, id / 1000);
  }
  let now = 10;
  const under = [];
  for (let done = 0; done < WAITING; ) {
    const from = micros();
    const decisions = scheduler.decide(now);
    times.push(micros() - from);
    for (const { kind, run } of decisions) if (kind === 'start') under.push(run);
    done += decisions.filter(({ kind }) => kind === 'end').length;
    const run = under.shift();
    now = Math.max(now + 1, run ? now : (scheduler.lookAt ?? now));
    if (run) scheduler.complete(run.id, now);
  }
  return { micros: micros() - began, decisions: times };
}
