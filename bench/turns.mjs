// Models take turns of a few inferences, so that the noise of the machine is the same for all.
import { startWorkload } from './processes.mjs';

/** Starts a model on a target and warms it up. `first` is its measurement of the first inference. */
export async function beginModel(workload, target, adapter, url, more = {}) {
  const program = startWorkload(workload, target, adapter, url, { BENCH_ON_DEMAND: '1', ...more });
  try {
    const first = await program.next();
    await program.next();
    return { ...program, first };
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/**
 * In each of `rounds` rounds each model has a turn: as many inferences as fit into `turnMs`, and at least
 * one. Resolves to each model's inferences: their milliseconds, and their counts in the last round.
 */
export async function takeTurns(models, { rounds, turnMs }) {
  const results = models.map((model) => ({ model, stepsMs: [], perStep: undefined }));
  for (let round = 0; round < rounds; round += 1) {
    // Back and forth, so that no model always follows the same other one.
    for (const result of round % 2 === 0 ? results : results.toReversed()) {
      const lastMs = result.stepsMs.at(-1);
      result.model.tell(lastMs ? Math.max(1, Math.floor(turnMs / lastMs)) : 1);
      const { stepsMs, perStep } = await result.model.next();
      result.stepsMs.push(...stepsMs);
      result.perStep = perStep;
    }
  }
  return results;
}
