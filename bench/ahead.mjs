// `ahead`: the cost or gain of reads ahead if the host is near. Each workload runs with and without reads ahead, in turns,
// over loopback. The figures are ratios of runs that follow each other.
import { figure, printTable } from './print.mjs';
import { runWorkload, startHost } from './processes.mjs';
import { beginModel } from './turns.mjs';
import { median } from './workloads/report.mjs';

const PAIRS = 20;
/** Of 20 ordered values, these two bound the median with a confidence of 95.9%. */
const INTERVAL = [5, 14];
const TURN_MS = 300;
const OFF = { FARLIGHT_AHEAD: 'off' };

const MODELS = [
  { workload: 'movenet', adapter: 'null' },
  { workload: 'tf-outputs', adapter: 'null' },
  { workload: 'silero', adapter: 'software' },
  { workload: 'paddle-cls', adapter: 'software' },
];
/** Workloads that run as a whole, and the field of their report. With `more`, higher is better: the ratio is inverted. */
const RUNS = [
  { workload: 'calls', field: 'encodeUs' },
  { workload: 'round-trip', field: 'roundTripUs' },
  { workload: 'transfer', field: 'uploadMiBs', more: true },
  { workload: 'transfer', field: 'downloadMiBs', more: true },
];

/** For each workload, resolves to the ratios of the time with reads ahead to the time without. */
export async function measureAhead() {
  const results = {};
  for (const { workload, adapter } of MODELS) {
    process.stderr.write(`ahead: ${workload} ...\n`);
    results[workload] = await withHost(adapter, (host) => measureModel(workload, adapter, host));
  }
  await withHost('null', async (host) => {
    const reports = {};
    for (const { workload, field, more } of RUNS) {
      process.stderr.write(`ahead: ${workload}, ${field} ...\n`);
      reports[workload] ??= await pairs((env) => runWorkload(workload, 'host', 'null', host.url, env));
      const ratios = reports[workload].map(([on, off]) =>
        more ? off[field] / on[field] : on[field] / off[field],
      );
      results[`${workload} ${field}`] = summary(ratios);
    }
  });
  return results;
}

export function printAhead(results) {
  console.log(
    '\nTime with reading ahead, beside without, over loopback: medians of 20 pairs, and their interval',
  );
  printTable([
    ['', 'ratio', 'from', 'to', 'ms', 'waits', 'saved', 'in vain'],
    ...Object.entries(results).map(([name, { ratio, from, to, ms, perStep }]) => [
      name,
      ratio.toFixed(3),
      from.toFixed(3),
      to.toFixed(3),
      ms ? figure(ms) : '',
      ...(perStep ? [perStep.waits, perStep.waitsSaved, perStep.bytesAheadWasted] : ['', '', '']).map(String),
    ]),
  ]);
}

async function measureModel(workload, adapter, host) {
  const models = [];
  try {
    // The program that starts first is a few percent slower for good, or faster. So each kind starts first, and last.
    for (const env of [{}, OFF, OFF, {}])
      models.push(await beginModel(workload, 'host', adapter, host.url, env));
    const turns = [];
    let perStep;
    let steps = 1;
    for (let pair = 0; pair < PAIRS; pair += 1) {
      const turn = [];
      // Back and forth, so that neither always comes first.
      for (const at of pair % 2 === 0 ? [0, 1, 2, 3] : [3, 2, 1, 0]) {
        models[at].tell(steps);
        const said = await models[at].next();
        turn[at] = median(said.stepsMs);
        if (at === 0) ({ perStep } = said);
      }
      steps = Math.max(1, Math.floor(TURN_MS / turn[0]));
      turns.push({ on: (turn[0] + turn[3]) / 2, off: (turn[1] + turn[2]) / 2 });
    }
    return {
      ...summary(turns.map(({ on, off }) => on / off)),
      ms: median(turns.map(({ on }) => on)),
      perStep,
    };
  } finally {
    for (const model of models) await model.stop();
  }
}

async function pairs(run) {
  const reports = [];
  for (let pair = 0; pair < PAIRS; pair += 1) {
    const report = [];
    for (const at of pair % 2 === 0 ? [0, 1] : [1, 0]) report[at] = await run(at === 0 ? {} : OFF);
    reports.push(report);
  }
  return reports;
}

async function withHost(adapter, act) {
  const host = await startHost(adapter);
  try {
    return await act(host);
  } finally {
    await host.stop();
  }
}

function summary(ratios) {
  const sorted = ratios.toSorted((a, b) => a - b);
  const [from, to] = INTERVAL.map((at) => sorted[at]);
  return { ratio: (sorted[9] + sorted[10]) / 2, from, to };
}
