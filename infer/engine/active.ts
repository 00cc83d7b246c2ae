import type { RequestSpan } from '../service/request-span.js';
import type { InferenceError } from '../service/service.js';
import type { Tensor } from '../service/tensor.js';
import type { ActiveRequest, StepTask } from './request/request.js';
import type { UnitModels } from './unit-models.js';

/** A task that has become ready. */
interface ReadyTask {
  readonly task: StepTask;
  readonly readyAt: number;
  isStarted: boolean;
}

/** A request that waits or runs, and the calls that answer it. */
export interface Active {
  readonly request: ActiveRequest;
  readonly units: readonly UnitModels[];
  readonly tasks: Map<number, ReadyTask>;
  /** It is the engine's own, and in no statistics. `load`: it only loads the file of its one step. */
  readonly internal: 'load' | 'learn' | undefined;
  /** Called with each stretch of its time. */
  readonly onSpan: ((span: RequestSpan) => void) | undefined;
  resolve(outputs: Tensor[]): void;
  reject(error: InferenceError): void;
}
