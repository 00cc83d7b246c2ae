import { StepError, type StepRun, type StepRunner } from '#farlight/stream/run/step-runner.js';
import type { Output } from '#farlight/stream/sinks/sink.js';
import { computed, lineOf, migrated, stepIn } from './arithmetic.js';
import { numberOf, tensorOf } from './numbers.js';

/** A version that cannot be made ready, or whose states cannot be converted. */
export interface RunnerFaults {
  readonly failsToPrepare: boolean;
  readonly failsToMigrate: boolean;
  /** No version is ready before this one resolves. */
  readonly slow?: Promise<void> | undefined;
}

/** Runs steps of arithmetic. Each ends when `later` lets it. */
export function arithmeticRunner(later: <T>(act: () => T) => Promise<T>, faults: RunnerFaults): StepRunner {
  return {
    prepare: async () => {
      await faults.slow;
      await later(() => {
        if (faults.failsToPrepare) throw new Error('the model cannot be compiled');
      });
    },
    release: async () => {},
    run: (run) => later(() => result(run)),
    migrate: (definition, uid, { s }) =>
      later(() => {
        if (faults.failsToMigrate) throw new Error('this state has no such form');
        return { s: tensorOf(migrated(stepIn(definition, uid), numberOf(s))) };
      }),
  };
}

/** An output of such steps, as a line. */
export function lineFor({ sink, source, offset, key, values, error }: Output): string {
  const text = error ? error.step : Object.values(values).map(numberOf).join();
  return lineOf(sink, source, offset, key, text);
}

function result({ definition, uid, inputs, state }: StepRun) {
  const step = stepIn(definition, uid);
  const done = computed(step, Object.values(inputs).map(numberOf), state?.s && numberOf(state.s));
  if (!done) throw new StepError('no such number');
  return {
    outputs: { o: tensorOf(done.output) },
    state: Object.keys(step.state).length > 0 ? { s: tensorOf(done.state) } : undefined,
  };
}
