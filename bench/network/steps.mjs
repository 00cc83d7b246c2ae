// The time of a step on a line, measured and predicted. A program without a line, and one behind each line, take turns
// of a few steps, so that the noise of the machine is the same for all.
import { emulateLink, predictStepMs } from '../../dist/testing/index.js';
import { figure, printTable } from '../print.mjs';
import { startHost } from '../processes.mjs';
import { beginModel, takeTurns } from '../turns.mjs';
import { median } from '../workloads/report.mjs';

const PROGRAMS = [
  { workload: 'movenet', title: 'MoveNet', adapter: 'null', rounds: 10, turnMs: 200 },
  { workload: 'silero', title: 'Silero', adapter: 'software', rounds: 6, turnMs: 600 },
  {
    workload: 'tf-outputs',
    title: 'Four outputs of TensorFlow.js',
    adapter: 'null',
    rounds: 10,
    turnMs: 200,
  },
  { workload: 'paddle-cls', title: "PaddleOCR's classifier", adapter: 'software', rounds: 4, turnMs: 1000 },
];
/**
 * With longer round trips, MoveNet's 5,000 calls before its second inference take many minutes, as one RPC each.
 */
const PER_CALL_MOST_MS = 30;

export async function measureSteps({ rtts, mbit }) {
  const results = {};
  for (const { title, ...program } of PROGRAMS) {
    const result = await measure({ ...program, target: 'host' }, rtts, mbit);
    const { bytesUp, bytesDown } = result.perStep;
    console.log(
      `\n${title} on ${program.adapter}, a step at ${mbit} Mbit/s: ${figure(result.localMs)} ms over loopback, ` +
        `${bytesUp.toFixed(0)} bytes up, ${bytesDown.toFixed(0)} down`,
    );
    print(result.rows);
    results[program.workload] = result;
  }
  return results;
}

/** One step after the first inference: only the number of calls matters, not the speed of each. */
export async function measurePerCall({ rtts, mbit }) {
  const program = {
    workload: 'movenet',
    adapter: 'null',
    target: 'per-call',
    rounds: 1,
    turnMs: 0,
  };
  const within = rtts.filter((rttMs) => rttMs <= PER_CALL_MOST_MS);
  // Each message has its reply before the next one leaves. Any other awaited reply comes with one of these.
  const serial = (perStep) => ({ ...perStep, waits: perStep.messagesSent });
  const result = await measure({ ...program, env: { BENCH_WARMUP: 'off' }, serial }, within, mbit);
  console.log(
    `\nMoveNet on null, one RPC a call, a step at ${mbit} Mbit/s: ${figure(result.localMs)} ms over loopback, ` +
      `${result.perStep.waits} waits`,
  );
  print(result.rows);
  for (const rttMs of rtts.filter((each) => each > PER_CALL_MOST_MS))
    console.log(`  at ${rttMs} ms it is not measured: the calls before that step take more than 5 minutes`);
  return result;
}

async function measure({ rounds, turnMs, serial = (perStep) => perStep, ...program }, rtts, mbit) {
  const { workload, adapter, target, env } = program;
  const host = await startHost(adapter);
  const begun = [];
  const begin = async (url) => {
    const model = await beginModel(workload, target, adapter, url, env);
    begun.push({ close: () => model.stop() });
    return model;
  };
  try {
    const models = [await begin(host.url)];
    for (const rttMs of rtts) {
      process.stderr.write(`  ${workload} at ${rttMs} ms ...\n`);
      const link = await emulateLink({ target: host.url, rttMs, mbit });
      begun.push(link);
      models.push(await begin(link.url));
    }
    const [local, ...lines] = await takeTurns(models, { rounds, turnMs });
    const localMs = median(local.stepsMs);
    const rows = lines.map(({ stepsMs, perStep }, line) => ({
      rttMs: rtts[line],
      waits: serial(perStep).waits,
      measuredMs: median(stepsMs),
      predictedMs: predictStepMs(localMs, serial(perStep), { rttMs: rtts[line], mbit }),
    }));
    return { localMs, mbit, perStep: serial(local.perStep), rows };
  } finally {
    for (const each of begun.reverse()) await each.close();
    await host.stop();
  }
}

function print(rows) {
  printTable([
    ['  round trip', 'waits', 'measured', 'predicted', 'measured / predicted'],
    ...rows.map(({ rttMs, waits, measuredMs, predictedMs }) => [
      `  ${rttMs} ms`,
      waits.toFixed(2),
      `${figure(measuredMs)} ms`,
      `${figure(predictedMs)} ms`,
      (measuredMs / predictedMs).toFixed(3),
    ]),
  ]);
}
