import { resolve } from 'node:path';
import { FarlightError } from '../../proto/errors.js';
import { harmlessJson, harmlessLines } from '../../proto/harmless.js';
import { askUpgrade } from '../../stream/control/control.js';
import type { StepChange, UpgradePlan } from '../../stream/definition/upgrade-plan.js';
import { stopSignal } from '../stop-signal.js';
import { wholeStream } from './check.js';
import { stateFolderOf } from './state-folder.js';

export interface UpgradeOptions {
  state?: string;
  plan?: boolean;
  reset?: string[];
  drop?: string[];
  json?: boolean;
}

/** @throws FarlightError (rejects) */
export async function upgrade(file: string, options: UpgradeOptions): Promise<void> {
  // A person sees the places in the file here; the application reads it again.
  await wholeStream(file);
  await ask(file, resolve(file), options);
}

/** @throws FarlightError (rejects) */
export async function rollBack(file: string, options: UpgradeOptions): Promise<void> {
  await ask(file, undefined, options);
}

async function ask(named: string, file: string | undefined, options: UpgradeOptions): Promise<void> {
  const { plan: isPlanOnly = false, reset = [], drop = [], json } = options;
  // Ctrl-C gives the upgrade up.
  const { plan, epoch } = await askUpgrade(
    stateFolderOf(named, options.state),
    { file, isPlanOnly, reset, drop },
    stopSignal(),
  );
  const text = json
    ? harmlessJson(JSON.stringify({ ...plan, epoch }, null, 2))
    : harmlessLines(planText(plan));
  process.stdout.write(`${text}\n`);
  if (plan.refusals.length > 0)
    throw new FarlightError('BAD_OPTION', 'the upgrade is not possible: its plan says why; change the file');
  if (!isPlanOnly && !json)
    process.stdout.write(plan.isEmpty ? '' : `the new version runs, since epoch ${epoch}\n`);
}

const SIGNS = { kept: ' ', changed: '~', added: '+', removed: '-' } as const;

/** A line for each step, source and sink, and the reasons against it. */
function planText({ steps, sources, sinks, refusals, isEmpty }: UpgradePlan): string {
  if (isEmpty) return 'nothing changes: this version runs';
  const lines = [
    ...sources.map(({ name, change }) => `${SIGNS[change]} source ${name}: ${change}`),
    ...steps.map(stepText),
    ...sinks.map(({ name, change }) => `${SIGNS[change]} sink ${name}: ${change}`),
    ...refusals.map((refusal) => `! ${refusal}`),
  ];
  return lines.join('\n');
}

function stepText({ uid, name, change, details, state }: StepChange): string {
  const called = uid === name ? name : `${name} (${uid})`;
  const more = [...details, ...(state ? [`its state is ${state}`] : [])];
  return `${SIGNS[change]} step ${called}: ${[change, ...more].join('; ')}`;
}
