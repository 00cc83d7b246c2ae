import type { FlowStep, Version } from '../flow/version.js';
import type { Definition, StepDefinition } from './definition.js';

/** The changes of an upgrade, as they are shown before it is applied. */
export interface UpgradePlan {
  readonly steps: readonly StepChange[];
  readonly sources: readonly Change[];
  readonly sinks: readonly Change[];
  /** Why it is not possible, each a sentence. Empty where it is. */
  readonly refusals: readonly string[];
  readonly isEmpty: boolean;
}

export interface Change {
  readonly name: string;
  readonly change: 'kept' | 'changed' | 'added' | 'removed';
  /** The changes, each in a few words. */
  readonly details: readonly string[];
}

export interface StepChange extends Change {
  readonly uid: string;
  /** The fate of its states. Undefined where it has and had none. */
  readonly state?: 'kept' | 'migrated' | 'reset' | 'new' | 'dropped';
}

/** Decisions that a person takes with an upgrade. */
export interface UpgradeWords {
  /** Uids of steps whose states begin anew. */
  readonly reset?: readonly string[];
  /** Uids of removed steps whose states may go, and removed sources whose waiting records may go. */
  readonly drop?: readonly string[];
  /** The new version is the one before the version that runs: what it converted then stays converted. */
  readonly isRollback?: boolean;
}

interface StepWords {
  readonly isReset: boolean;
  readonly isRollback: boolean;
}

/** Compares two versions of an application, by the uids of their steps and the hashes of what these do. Pure. */
export function planUpgrade(
  from: Definition,
  to: Definition,
  { reset = [], drop = [], isRollback = false }: UpgradeWords = {},
): UpgradePlan {
  const before = new Map(from.steps.map((step) => [step.uid, step]));
  const after = new Map(to.steps.map((step) => [step.uid, step]));
  const refusals: string[] = [];
  if (from.name !== to.name)
    refusals.push(
      `This is another application: "${to.name}" and not "${from.name}". Give it a state folder of its own.`,
    );
  const steps: StepChange[] = [];
  for (const step of to.steps)
    steps.push(
      changeOf(before.get(step.uid), step, { isReset: reset.includes(step.uid), isRollback }, refusals),
    );
  for (const uid of [...reset, ...drop])
    if (!before.has(uid) && !from.sources[uid])
      refusals.push(`There is no step with the uid "${uid}", and no source of that name.`);
  for (const step of from.steps) {
    if (after.has(step.uid)) continue;
    const { uid, name } = step;
    if (hasState(step) && !drop.includes(uid))
      refusals.push(
        `Step "${uid}" is removed, and it has state. Say --drop ${uid} if its state may go, or keep the uid for the step that goes on with it.`,
      );
    steps.push({
      uid,
      name,
      change: 'removed',
      details: [],
      ...(hasState(step) && { state: 'dropped' as const }),
    });
  }
  const sources = compare(from.sources, to.sources);
  for (const { name, change } of sources)
    if (change === 'removed' && !drop.includes(name))
      refusals.push(`Source "${name}" is removed. Say --drop ${name} if its records that wait may go.`);
  const sinks = compare(from.sinks, to.sinks);
  const isEmpty =
    [...steps, ...sources, ...sinks].every(({ change }) => change === 'kept') &&
    steps.every(({ state }) => state === undefined || state === 'kept');
  return { steps, sources, sinks, refusals, isEmpty };
}

function changeOf(
  old: StepDefinition | undefined,
  step: StepDefinition,
  words: StepWords,
  refusals: string[],
): StepChange {
  const { uid, name } = step;
  if (!old)
    return { uid, name, change: 'added', details: [], ...(hasState(step) && { state: 'new' as const }) };
  const details: string[] = [];
  if (old.name !== name) details.push(`it was called ${old.name}`);
  if (titleOf(old) !== titleOf(step)) details.push(`${titleOf(old)} becomes ${titleOf(step)}`);
  else if (old.does !== step.does) details.push(`${titleOf(step)} has changed`);
  for (const input of new Set([...Object.keys(old.inputs), ...Object.keys(step.inputs)])) {
    const [was = 'nothing', is = 'nothing'] = [old.inputs[input], step.inputs[input]];
    if (was !== is) details.push(`input ${input} comes from ${is}, not from ${was}`);
  }
  const change = old.does === step.does && details.length === 0 ? 'kept' : 'changed';
  if (!hasState(old) && !hasState(step)) return { uid, name, change, details };
  if (hasState(old) && old.source !== step.source) {
    refusals.push(
      `Step "${uid}" has state, by the keys of source "${old.source}": it cannot take records of "${step.source}". Give it another uid.`,
    );
  }
  return { uid, name, change, details, state: stateOf(old, step, words, refusals) };
}

function stateOf(
  old: StepDefinition,
  step: StepDefinition,
  { isReset, isRollback }: StepWords,
  refusals: string[],
): NonNullable<StepChange['state']> {
  if (!hasState(step)) {
    if (!isReset)
      refusals.push(`Step "${step.uid}" has no state any more. Say --reset ${step.uid} if its state may go.`);
    return 'dropped';
  }
  if (!hasState(old)) return 'new';
  if (isReset) return 'reset';
  // A function that the version before has too has converted the states already.
  const { migrate } = step;
  // The version that runs took the states as this one had left them.
  const isConverted = isRollback && !old.migrate && sameState(old, step);
  if (migrate && !isConverted && (migrate.hash !== old.migrate?.hash || migrate.name !== old.migrate.name))
    return 'migrated';
  if (sameState(old, step)) return 'kept';
  refusals.push(
    `The state of step "${step.uid}" has another form. Give it a function that converts it (migrate: FILE.mjs#EXPORT), or say --reset ${step.uid}.`,
  );
  return 'reset';
}

/** The names that the flow has for the value whose rows are outputs by themselves, and for the one that is their key. */
export const [EACH, KEY] = ['', '.'] as const;

/** The new version, as a flow runs it after the old one. */
export function versionOf(definition: Definition, plan?: UpgradePlan): Version {
  const carries = new Map(plan?.steps.map(({ uid, state }) => [uid, state]));
  const steps = definition.steps.map((step): FlowStep => {
    const { uid, name, source, inputs, does } = step;
    const state = carries.get(uid);
    const carry = state === 'migrated' ? 'migrate' : state === 'kept' ? 'keep' : 'reset';
    return { uid, name, source, inputs, does, hasState: hasState(step), carry };
  });
  const sinks = Object.entries(definition.sinks).map(([name, { source, values, each, key }]) => ({
    name,
    source,
    values: {
      ...values,
      ...(each !== undefined && { [EACH]: each }),
      ...(key !== undefined && { [KEY]: key }),
    },
  }));
  return { id: definition.id, sources: Object.keys(definition.sources), steps, sinks };
}

export function hasState({ state }: StepDefinition): boolean {
  return Object.keys(state).length > 0;
}

/** A step's model or function, as a person wrote it. */
export function titleOf({ runs }: StepDefinition): string {
  return runs.kind === 'model' ? `${runs.model} version ${runs.version}` : runs.function.title;
}

/** Whether the values have the same names and types: a new value of one is then a value of the other. */
function sameState(a: StepDefinition, b: StepDefinition): boolean {
  const form = ({ state }: StepDefinition) =>
    JSON.stringify(
      Object.entries(state)
        .map(([name, { initial }]) => [name, initial.datatype, initial.shape])
        .sort(),
    );
  return form(a) === form(b);
}

function compare(from: Readonly<Record<string, unknown>>, to: Readonly<Record<string, unknown>>): Change[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])];
  return names.map((name) => {
    const [was, is] = [from[name], to[name]];
    if (was === undefined) return { name, change: 'added', details: [] };
    if (is === undefined) return { name, change: 'removed', details: [] };
    const isSame = JSON.stringify(was) === JSON.stringify(is);
    return { name, change: isSame ? 'kept' : 'changed', details: [] };
  });
}
