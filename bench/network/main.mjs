// `network`: Farlight over lines that farlight/testing emulates (docs/decisions/0012).
//
//   steps      a step of four programs at each round trip, beside the time that predictStepMs computes: MoveNet and a
//              program that reads four outputs (null adapter), Silero and PaddleOCR's classifier (software)
//   per-call   the same for MoveNet with each call as an RPC of its own, up to 30 ms
//   ping       the smallest round trip, beside those of a raw gRPC stream and of raw TCP
//   bulk       256 MiB up and down, over loopback and at 30 ms and 1 Gbit/s, beside raw TCP
//   fairness   50 sessions at once: the slowest one's share
//   memory     how much client and host grow while 1 GiB goes up a line that is too slow for it
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
