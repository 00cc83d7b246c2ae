import type { Definition, StepDefinition } from '#farlight/stream/definition/definition.js';
import { stepOf } from './arithmetic.js';
import type { Random } from './chaos.js';

/** An application with a step for each of these inputs, all of one source, and a sink for each step. */
export function definitionOf(
  id: string,
  sources: readonly string[],
  inputs: Readonly<Record<string, readonly string[]>>,
): Definition {
  const arithmetic = { factor: 1, failsAt: 0, hasState: true };
  const steps = Object.entries(inputs).map(([uid, from]) => {
    const [source = ''] = (from[0] as string).split('.');
    return stepOf(uid, source, from, arithmetic);
  });
  const sinks = steps.map(({ name, source }) => {
    return [`to-${name}`, { kind: 'file', file: name, source, values: { o: `${name}.o` } }] as const;
  });
  return {
    name: 'test',
    id,
    sources: Object.fromEntries(sources.map((name) => [name, { kind: 'http', types: {} }] as const)),
    steps,
    sinks: Object.fromEntries(sinks),
  };
}

/** A random application. */
export function randomDefinition(random: Random, version: number): Definition {
  const names = ['s', 't'].slice(0, 1 + random.below(2));
  const steps: StepDefinition[] = [];
  for (let at = 0, count = 1 + random.below(5); at < count; at += 1)
    steps.push(randomStep(random, `p${at}`, names, steps));
  return completed(random, version, names, steps);
}

function randomStep(
  random: Random,
  uid: string,
  sources: readonly string[],
  before: readonly StepDefinition[],
) {
  const source = random.of(sources);
  const values = [
    `${source}.x`,
    // No record has this one: an upgrade may ask for a value that the source did not give before.
    ...(random.is(5) ? [`${source}.y`] : []),
    ...before.filter((step) => step.source === source).map(({ name }) => `${name}.o`),
  ];
  const inputs = [...new Set([random.of(values), random.of(values)])];
  return stepOf(uid, source, inputs, {
    factor: 1 + random.below(9),
    failsAt: random.is(20) ? 7 : 0,
    hasState: random.is(60),
  });
}

/** A sink for some of the steps, and one at least. */
function completed(
  random: Random,
  version: number,
  sources: readonly string[],
  steps: StepDefinition[],
): Definition {
  const sinks = steps
    .filter((_, at) => at === steps.length - 1 || random.is(50))
    .map(({ name, source }) => {
      const file = `${name}.jsonl`;
      return [`to-${name}`, { kind: 'file' as const, file, source, values: { o: `${name}.o` } }] as const;
    });
  return {
    name: 'test',
    id: `v${version}`,
    sources: Object.fromEntries(sources.map((name) => [name, { kind: 'http' as const, types: {} }])),
    steps,
    sinks: Object.fromEntries(sinks),
  };
}

/** A random next version of it. Of the sources that are gone, some come again. */
export function edited(
  random: Random,
  { steps: old, sources }: Definition,
  version: number,
  again: readonly string[],
): Definition {
  let names = Object.keys(sources);
  let steps = [...old];
  for (let edits = 1 + random.below(3); edits > 0; edits -= 1) {
    const step = random.of(steps);
    const dice = random.below(8);
    if (dice === 0) steps.push(randomStep(random, `p${version}x${edits}`, names, steps));
    else if (dice === 1 && steps.length > 1) steps = withoutStep(steps, step);
    else if (dice === 2 || dice === 6) {
      // A source is added, with a step of its own.
      const gone = again.filter((name) => !names.includes(name));
      const name = gone.length > 0 && random.is(90) ? random.of(gone) : `n${version}x${edits}`;
      names = [...names, name];
      steps.push(randomStep(random, `${name}p${version}x${edits}`, [name], steps));
    } else if ((dice === 3 || dice === 7) && names.length > 1) {
      const gone = random.of(names);
      const left = steps.filter(({ source }) => source !== gone);
      if (left.length > 0) {
        steps = left;
        names = names.filter((name) => name !== gone);
      }
    } else {
      const migrate = dice === 4 && Object.keys(step.state).length > 0 ? `m${version}` : undefined;
      const { source, uid, inputs } = step;
      const values = { factor: 1 + random.below(9), failsAt: random.is(20) ? 7 : 0 };
      const hasState = Object.keys(step.state).length > 0;
      const changed = stepOf(uid, source, Object.values(inputs), {
        ...values,
        hasState,
        ...(migrate && { migrate }),
      });
      steps = steps.map((each) => (each === step ? changed : each));
    }
  }
  return completed(random, version, names, steps);
}

/** Steps that took outputs of it take the source's records instead. */
function withoutStep(steps: readonly StepDefinition[], gone: StepDefinition): StepDefinition[] {
  return steps
    .filter((step) => step !== gone)
    .map((step) => ({
      ...step,
      inputs: Object.fromEntries(
        Object.entries(step.inputs).map(([name, from]) => [
          name,
          from.startsWith(`${gone.name}.`) ? `${gone.source}.x` : from,
        ]),
      ),
    }));
}
