// `network`: Farlight on a line, which the emulator of farlight/testing makes (docs/decisions/0012).
//
//   steps      a step of MoveNet and of a program that reads four outputs (null adapter), of Silero and of PaddleOCR's
//              classifier (software), at each round trip, beside the time that the model predicts from the ledger and
//              from the step without the emulator
//   per-call   the same of MoveNet where each call is an RPC of its own, up to 30 ms
//   ping       the smallest round trip, beside that of a raw gRPC stream and of raw TCP
//   bulk       256 MiB up and down, over loopback and at 30 ms and 1 Gbit/s, beside raw TCP
//   fairness   50 sessions at once: the slowest one's share
//   memory     what client and host grow by while 1 GiB goes up a line that has no room for it
import { measureBulk } from './bulk.mjs';
import { measureFairness } from './fairness.mjs';
import { measureMemory } from './memory.mjs';
import { measurePing } from './ping.mjs';
import { measurePerCall, measureSteps } from './steps.mjs';

const MEASURE = {
  steps: measureSteps,
  'per-call': measurePerCall,
  ping: measurePing,
  bulk: measureBulk,
  fairness: measureFairness,
  memory: measureMemory,
};
export const SCENARIOS = Object.keys(MEASURE);

/** Measures and prints the scenarios; `rtts` are in milliseconds, `mbit` in megabits a second. */
export async function measureNetwork(scenarios, { rtts, mbit }) {
  const results = {};
  for (const scenario of scenarios) {
    process.stderr.write(`network: ${scenario} ...\n`);
    results[scenario] = await MEASURE[scenario]({ rtts, mbit });
  }
  return results;
}
