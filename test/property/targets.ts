import { afterAll } from 'vitest';
import { type OpenTarget, type TargetName, targets } from '../support/gpus/targets.js';

const opened = new Map<TargetName, Promise<OpenTarget>>();

/** The target of that name. It is opened once for each file of properties. */
export function open(name: TargetName): Promise<OpenTarget> {
  const target = targets.find((each) => each.name === name);
  if (!target) throw new Error(`FARLIGHT_TEST_TARGETS leaves out ${name}, which properties compare with`);
  const opening = opened.get(name) ?? target.open();
  opened.set(name, opening);
  return opening;
}

afterAll(async () => {
  for (const target of opened.values()) await (await target).close();
});
