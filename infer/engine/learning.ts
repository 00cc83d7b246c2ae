import { messageOf } from '../../proto/errors.js';
import type { Dispatcher } from './dispatcher.js';
import { modelPlan } from './request/plan.js';
import type { Unit } from './request/unit.js';
import { zeros } from './request/values.js';
import type { UnitModels } from './unit-models.js';

/** The batches that a model is learned with, as far as memory has room. Each runs twice: the first time it compiles. */
const BATCHES = [1, 2, 4, 8, 16];
/** After a run of so many milliseconds no larger batch is tried. */
const LONG_MS = 2_000;

/**
 * Learns the costs of a model by runs of zeros, if nothing is known of it and its items have one shape. The costs of other
 * models are learned from their first requests, with batches that grow from one.
 */
export async function learn(
  unit: Unit,
  models: UnitModels,
  dispatcher: Dispatcher,
  log: (message: string) => void,
): Promise<void> {
  if (!unit.isFixed || models.hasRun) return;
  const plan = modelPlan(unit.title, '', unit);
  try {
    for (const batch of unit.batches ? BATCHES : [1]) {
      if (batch > unit.maxBatch) return;
      const inputs = unit.inputs.map(({ name, datatype, shape }) =>
        zeros(name, datatype, unit.batches ? [batch, ...shape.slice(1)] : shape),
      );
      for (let run = 0; run < 2; run += 1) await dispatcher.run(plan, { inputs }, { internal: 'learn' });
      if ((models.expected('', batch)?.ms ?? 0) > LONG_MS) return;
    }
  } catch (error) {
    // Perhaps zeros are no valid input. The first requests will tell, or teach its costs.
    log(`${unit.title} could not be run with zeros: ${messageOf(error)}`);
  }
}
