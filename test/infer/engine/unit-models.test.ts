import { expect, it } from 'vitest';
import type { StepTask } from '#farlight/infer/engine/request/request.js';
import { Unit } from '#farlight/infer/engine/request/unit.js';
import { UnitModels } from '#farlight/infer/engine/unit-models.js';
import { Scheduler } from '#farlight/infer/schedule/scheduler.js';

it('the scheduler hears no more of a model that was removed while a lane still loaded it', () => {
  const scheduler = new Scheduler();
  const unit = new Unit('m@1', 'model m version 1', 'gpu', { file: 'm' }, undefined);
  unit.declare([{ name: 'x', datatype: 'FP32', shape: [-1, -1] }], [], '');
  const models = new UnitModels(unit, scheduler, { kept: new Map(), bytes: 10, largest: () => 1000 });
  models.remove();
  models.loaded({ inputs: [], outputs: [], version: '', weights: 10, ms: 1 });
  scheduler.arrive({ id: 1, graph: { name: 'm', steps: [{ model: 'm@1', after: [] }] }, items: 1 }, 0);
  expect(scheduler.decide(0)).toMatchObject([{ kind: 'end', outcome: { is: 'refused', why: 'no-model' } }]);
  const task: StepTask = { unit, shape: 'x:3', items: 1, shapes: new Map([['x', [1, 3]]]) };
  expect(() => models.use(task)).toThrow('model m version 1 was unloaded.');
});
