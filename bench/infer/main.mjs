// `schedule`: the scheduler of farlight/infer by itself, without a GPU.
//
//   decisions  the processor time of each task, and of the longest decision, with 10,000 requests for 50 models
//   bursts     bursts of 64 requests on a simulated GPU, beside servers whose batches are preset
import { figure, printTable } from '../print.mjs';
import { measureBursts } from './bursts.mjs';
import { measureDecisions } from './decisions.mjs';

export function measureSchedule() {
  // The first round has V8 compile what the others run.
  measureDecisions(1);
  const decisions = [1, 8, 64].map((maxBatch) => ({ maxBatch, ...measureDecisions(maxBatch) }));
  printTable([
    ['batches of at most', 'us a task', 'longest decision, ms'],
    ...decisions.map(({ maxBatch, usPerTask, longestMs }) => [
      `${maxBatch}`,
      figure(usPerTask),
      figure(longestMs),
    ]),
  ]);
  const bursts = measureBursts();
  const rows = [['', 'mean ms', 'p99 ms', 'requests/s', 'mean batch', 'mean, beside', 'p99, beside']];
  for (const { workload, results } of bursts) {
    rows.push([workload, '', '', '', '', '', '']);
    for (const [name, { meanMs, p99Ms, perSecond, batch }] of Object.entries(results)) {
      const beside = [meanMs / results.farlight.meanMs, p99Ms / results.farlight.p99Ms];
      rows.push([
        `  ${name}`,
        figure(meanMs),
        figure(p99Ms),
        figure(perSecond),
        figure(batch),
        ...beside.map((value) => `${value.toFixed(2)} x`),
      ]);
    }
  }
  printTable(rows);
  return { decisions, bursts };
}
