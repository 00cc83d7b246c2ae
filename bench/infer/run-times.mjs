// The times of simulated runs: as runs took them that were measured. The line that a scheduler learns is their middle. On
// a GPU that shares its processor with others, a run takes 0.7 to 2 times as long.
import { at } from '../../dist/infer/schedule/costs.js';
import { random } from './trace.mjs';

/** A simulated run is like one of so many measured runs, whose batches are nearest. Short runs differ most. */
const ALIKE = 8;

/**
 * Resolves a seed to the times of a simulation's runs: each is as much longer or shorter than expected as a measured one
 * of the model's `runs` with about its batch, drawn at random.
 */
export function timesOf(models, runs) {
  const measured = Object.fromEntries(
    Object.entries(models).map(([name, { gpu, wait }]) => [
      name,
      runs
        .filter(({ model }) => model === name)
        .map((run) => ({
          batch: run.batch,
          gpu: run.gpu / at(gpu, run.batch),
          wait: run.wait - at(wait, run.batch),
        })),
    ]),
  );
  return (seed) => {
    const next = random(seed);
    return ({ model, batch }) => {
      const { gpu, wait } = models[model];
      const distance = (run) => Math.abs(Math.log(run.batch / batch));
      const alike = measured[model].toSorted((a, b) => distance(a) - distance(b)).slice(0, ALIKE);
      const like = alike[Math.floor(next() * alike.length)] ?? { gpu: 1, wait: 0 };
      return { gpu: like.gpu * at(gpu, batch), wait: Math.max(0, at(wait, batch) + like.wait) };
    };
  };
}
