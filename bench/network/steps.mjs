// How long a step takes on a line, measured and predicted.
import { emulateLink, predictStepMs } from '../../dist/testing/index.js';
import { figure, printTable } from '../print.mjs';
import { runWorkload, startHost } from '../processes.mjs';

const PROGRAMS = [
  { workload: 'movenet', title: 'MoveNet', adapter: 'null', runs: 40 },
  // The software GPU takes half a second for each.
  { workload: 'silero', title: 'Silero', adapter: 'software', runs: 10 },
];
/** Above that, sending each of MoveNet's 5,800 calls before its second inference as an RPC takes many minutes. */
const PER_CALL_MOST_MS = 30;

export async function measureSteps({ rtts, mbit }) {
  const results = {};
  for (const { workload, title, adapter, runs } of PROGRAMS) {
    const host = await startHost(adapter);
    const run = (url) => runWorkload(workload, 'grpc', adapter, url, { BENCH_RUNS: String(runs) });
    try {
      const local = await run(host.url);
      const rows = await atEach(rtts, { mbit, host }, run, (step, rttMs) => ({
        rttMs,
        measuredMs: step.stepMs,
        predictedMs: predictStepMs(local.stepMs, step.perStep, { rttMs, mbit }),
        perStep: step.perStep,
      }));
      results[workload] = { localMs: local.stepMs, mbit, rows };
      const { waits, bytesUp, bytesDown } = rows[0]?.perStep ?? local.perStep;
      console.log(
        `\n${title} on ${adapter}, a step at ${mbit} Mbit/s: ${figure(local.stepMs)} ms over loopback, ` +
          `${waits} waits, ${figure(bytesUp)} bytes up, ${figure(bytesDown)} down`,
      );
      print(rows);
    } finally {
      await host.stop();
    }
  }
  return results;
}

/** The first step after the first inference: what calls there are is what counts, not how fast each is. */
export async function measurePerCall({ rtts, mbit }) {
  const host = await startHost('null');
  const run = (url) =>
    runWorkload('movenet', 'per-call', 'null', url, { BENCH_RUNS: '1', BENCH_WARMUP: '0' });
  try {
    const local = await run(host.url);
    const measured = rtts.filter((rttMs) => rttMs <= PER_CALL_MOST_MS);
    const rows = await atEach(measured, { mbit, host }, run, (step, rttMs) => ({
      rttMs,
      measuredMs: step.stepMs,
      // Each message is answered before the next one leaves; what is awaited beside that waits for nothing more.
      predictedMs: predictStepMs(
        local.stepMs,
        { ...step.perStep, waits: step.perStep.messagesSent },
        { rttMs, mbit },
      ),
      perStep: step.perStep,
    }));
    console.log(
      `\nMoveNet on null, one RPC a call, a step at ${mbit} Mbit/s: ${figure(local.stepMs)} ms over loopback`,
    );
    print(rows);
    for (const rttMs of rtts.filter((each) => each > PER_CALL_MOST_MS))
      console.log(`  at ${rttMs} ms it is not measured: the calls before that step take more than 5 minutes`);
    return { localMs: local.stepMs, mbit, rows };
  } finally {
    await host.stop();
  }
}

async function atEach(rtts, { mbit, host }, run, row) {
  const rows = [];
  for (const rttMs of rtts) {
    process.stderr.write(`  at ${rttMs} ms ...\n`);
    const link = await emulateLink({ target: host.url, rttMs, mbit });
    try {
      rows.push(row(await run(link.url), rttMs));
    } finally {
      await link.close();
    }
  }
  return rows;
}

function print(rows) {
  printTable([
    ['  round trip', 'measured', 'predicted', 'measured / predicted'],
    ...rows.map(({ rttMs, measuredMs, predictedMs }) => [
      `  ${rttMs} ms`,
      `${figure(measuredMs)} ms`,
      `${figure(predictedMs)} ms`,
      (measuredMs / predictedMs).toFixed(3),
    ]),
  ]);
}
