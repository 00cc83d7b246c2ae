import type { RequestSpan } from '../../infer/service/request-span.js';
import type { Tensor } from '../../infer/service/tensor.js';
import type { Clock } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import type { Definition } from '../definition/definition.js';
import type { UpgradePlan } from '../definition/upgrade-plan.js';
import type { FlowRecord } from '../flow/version.js';
import type { Output } from '../sinks/sink.js';

/**
 * Hears what becomes of the records of an application: of some before the application is open, since those that were on
 * their way pass through again first. Its methods return at once, and do not throw.
 */
export interface ApplicationObserver {
  /** A record is in the log of its source. */
  logged(source: string, offset: number): void;
  /** A record begins its way through the steps. */
  admitted(record: FlowRecord<Tensor>, traceparent: string | undefined): void;
  /** A step begins with a record. The function that it returns is called when the step has ended. */
  began(record: FlowRecord<Tensor>, uid: string, definition: Definition): (end: StepEnd) => void;
  /** A sink has all outputs of a record. */
  wrote(record: FlowRecord<Tensor>, sink: string, outputs: readonly Output[], definition: Definition): void;
  /** A record has passed through all steps and sinks. */
  passed(record: FlowRecord<Tensor>, definition: Definition): void;
  upgraded(upgrade: UpgradeEnd): void;
}

export interface StepEnd {
  /** Of a model, the stretches of its time. */
  readonly spans: readonly RequestSpan[];
  /** Why the record made the step fail. */
  readonly error?: string;
}

/** An upgrade that has ended, well or not. */
export interface UpgradeEnd {
  readonly from: string;
  readonly to: string;
  readonly plan: UpgradePlan;
  /** How long it took, in milliseconds. */
  readonly ms: number;
  /** The epoch that it began; undefined where it was not committed. */
  readonly epoch: number | undefined;
  /** Why it was not committed. */
  readonly why?: string;
}

/** Does an upgrade, and tells an observer how it has ended. @param act resolves to the epoch that it began */
export async function observedUpgrade(
  observer: Pick<ApplicationObserver, 'upgraded'> | undefined,
  clock: Pick<Clock, 'now'>,
  upgrade: Pick<UpgradeEnd, 'from' | 'to' | 'plan'>,
  act: () => Promise<number>,
): Promise<void> {
  const start = clock.now();
  const tell = (end: Pick<UpgradeEnd, 'epoch' | 'why'>) =>
    observer?.upgraded({ ...upgrade, ...end, ms: clock.now() - start });
  try {
    tell({ epoch: await act() });
  } catch (error) {
    tell({ epoch: undefined, why: messageOf(error) });
    throw error;
  }
}
