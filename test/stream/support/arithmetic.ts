import type { Definition, StepDefinition } from '#farlight/stream/definition/definition.js';
import { planUpgrade } from '#farlight/stream/definition/upgrade-plan.js';
import { tensorOf } from './numbers.js';

/**
 * Steps of a test: each adds up its inputs, and its state if it has one, times a factor. It fails at sums that a number
 * divides.
 */
export interface Arithmetic {
  readonly factor: number;
  readonly failsAt: number;
}

/** The step of this uid. */
export function stepIn({ steps }: Definition, uid: string): StepDefinition {
  const step = steps.find((each) => each.uid === uid);
  if (!step) throw new Error(`there is no step ${uid}`);
  return step;
}

/** The arithmetic of a step, which the hash in its definition has. */
export function arithmeticOf({ does }: StepDefinition): Arithmetic {
  const [factor = 1, failsAt = 0] = does.split('/').map(Number);
  return { factor, failsAt };
}

export function computed(
  step: StepDefinition,
  inputs: readonly number[],
  state: number | undefined,
): { output: number; state: number } | undefined {
  const { factor, failsAt } = arithmeticOf(step);
  const sum = (inputs.reduce((a, b) => a + b, 0) * factor + (state ?? 0)) % 10_007;
  if (failsAt > 0 && sum % failsAt === 1) return undefined;
  return { output: sum, state: (sum * 3 + 1) % 10_007 };
}

export function migrated(step: StepDefinition, state: number): number {
  return (state * 2 + (step.migrate?.name.length ?? 0)) % 10_007;
}

/** A step as a definition has it. */
export function stepOf(
  uid: string,
  source: string,
  inputs: readonly string[],
  { factor, failsAt, hasState, migrate }: Arithmetic & { hasState: boolean; migrate?: string },
): StepDefinition {
  const fn = (name: string) => ({ file: `${name}.mjs`, hash: name, name, title: `${name}.mjs#${name}` });
  const { name: _, ...initial } = tensorOf(0);
  return {
    name: uid,
    uid,
    source,
    runs: { kind: 'function', function: fn(`f${factor}`), resource: 'cpu' },
    inputs: Object.fromEntries(inputs.map((reference, at) => [`i${at}`, reference])),
    constants: {},
    state: hasState ? { s: { next: 's', initial } } : {},
    does: `${factor}/${failsAt}`,
    ...(migrate !== undefined && { migrate: fn(migrate) }),
  };
}

/** An output or an error, as a line. */
export function lineOf(sink: string, source: string, offset: number, key: string, text: string): string {
  return `${sink} ${source}/${offset} ${key}: ${text}`;
}

export interface SourceRecord {
  readonly key: string;
  readonly value: number;
}

/** A version, with the offset by source from which on records pass through it. */
export interface Committed {
  readonly definition: Definition;
  readonly cut: ReadonlyMap<string, number>;
}

/**
 * Runs all records one after the other, each through the version that was committed for it. It knows nothing of epochs,
 * queues and layers.
 */
export function oracle(
  versions: readonly Committed[],
  records: ReadonlyMap<string, readonly SourceRecord[]>,
  until: ReadonlyMap<string, number>,
): { lines: string[]; states: Map<string, Map<string, number>> } {
  const lines: string[] = [];
  let states = new Map<string, Map<string, number>>();
  versions.forEach(({ definition, cut }, at) => {
    const before = versions[at - 1]?.definition;
    if (before) states = statesAfter(before, definition, states);
    const end = versions[at + 1]?.cut;
    for (const source of Object.keys(definition.sources)) {
      const to = (end ?? until).get(source) ?? 0;
      for (let offset = cut.get(source) ?? 0; offset < to; offset += 1) {
        const record = records.get(source)?.[offset];
        if (record) lines.push(...pass(definition, source, offset, record, states));
      }
    }
  });
  return { lines, states };
}

function statesAfter(before: Definition, after: Definition, states: Map<string, Map<string, number>>) {
  const plan = planUpgrade(before, after, {
    drop: [...before.steps.map(({ uid }) => uid), ...Object.keys(before.sources)],
  });
  const next = new Map<string, Map<string, number>>();
  for (const step of after.steps) {
    const old = states.get(step.uid) ?? new Map<string, number>();
    const state = plan.steps.find(({ uid }) => uid === step.uid)?.state;
    if (state === 'kept') next.set(step.uid, old);
    if (state === 'migrated')
      next.set(step.uid, new Map([...old].map(([key, value]) => [key, migrated(step, value)])));
  }
  return next;
}

function pass(
  { steps, sinks }: Definition,
  source: string,
  offset: number,
  { key, value }: SourceRecord,
  states: Map<string, Map<string, number>>,
): string[] {
  const lines: string[] = [];
  const values = new Map([[`${source}.x`, value]]);
  for (const step of steps.filter((each) => each.source === source)) {
    const inputs = Object.values(step.inputs).map((reference) => values.get(reference));
    if (inputs.some((each) => each === undefined)) {
      // A step before it has failed, or the record itself lacks a value.
      if (Object.values(step.inputs).some((reference) => reference === `${source}.y`))
        lines.push(lineOf('$errors', source, offset, key, step.name));
      continue;
    }
    const hasState = Object.keys(step.state).length > 0;
    const mine = states.get(step.uid) ?? new Map<string, number>();
    states.set(step.uid, mine);
    const result = computed(step, inputs as number[], hasState ? mine.get(key) : undefined);
    if (!result) {
      lines.push(lineOf('$errors', source, offset, key, step.name));
      continue;
    }
    values.set(`${step.name}.o`, result.output);
    if (hasState) mine.set(key, result.state);
  }
  for (const [name, sink] of Object.entries(sinks)) {
    if (sink.source !== source) continue;
    const written = Object.values(sink.values).map((reference) => values.get(reference));
    if (written.every((each) => each !== undefined))
      lines.push(lineOf(name, source, offset, key, written.join()));
  }
  return lines;
}
