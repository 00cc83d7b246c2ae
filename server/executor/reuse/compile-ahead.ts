import { setImmediate as turn } from 'node:timers/promises';
import { monotonicNow } from '../../../link/machine/clock.js';
import type { ProfileStep } from '../../profiles/profile.js';
import { DecodedCommand } from '../wire/decoded-command.js';
import { took } from './compile-times.js';
import type { OpenDevice } from './open-device.js';

/**
 * Makes on a new device what the program made on it the last time, before it asks: most of all pipelines, which
 * take long to compile. What cannot be made any more is left out; no error of this is the program's. The device's
 * `compiling` says when all is made.
 */
export function compileAhead(opened: OpenDevice, steps: readonly ProfileStep[]): void {
  opened.compiling = makeSteps(opened, steps).then(() => {
    opened.compiling = undefined;
  });
}

async function makeSteps(opened: OpenDevice, steps: readonly ProfileStep[]): Promise<void> {
  const made: (object | undefined)[] = [opened.device];
  const pipelines: Promise<void>[] = [];
  /** How many steps there were for each key: equal pipelines with layouts of their own are several. */
  const wanted = new Map<string, number>();
  for (const step of steps) {
    const parts = step.parts.map((part) => made[part]);
    made.push(undefined);
    if (!opened.reusable) return;
    if (!parts.every((part): part is object => part !== undefined)) continue;
    try {
      const command = new DecodedCommand(step.shape, true);
      command.fillWith(parts.slice(1), step.payloads);
      const key = opened.shared.key(command.content, parts);
      const nth = (wanted.get(key) ?? 0) + 1;
      wanted.set(key, nth);
      if (opened.shared.count(key) >= nth) {
        // The program was faster: its own object serves.
        made[made.length - 1] = opened.shared.peek(key);
      } else if (command.operation.fate === 'awaited') {
        pipelines.push(compile(opened, command, key, parts));
      } else {
        made[made.length - 1] = await make(opened, command, key, parts);
        // The program's own commands come first.
        await turn();
      }
      command.clear();
    } catch {
      // A profile of another version of Farlight: the program makes for itself what this step was for.
    }
  }
  await Promise.all(pipelines);
}

/** What the program makes and goes on is made the same way here: it cannot wait for what is under way. */
async function make(
  { device, shared }: OpenDevice,
  { operation, args, recipe, sharing }: DecodedCommand,
  key: string,
  parts: readonly object[],
): Promise<object | undefined> {
  device.pushErrorScope('validation');
  const start = monotonicNow();
  const object = call(device, operation.member, args);
  took(object, monotonicNow() - start);
  if (await device.popErrorScope()) return undefined;
  shared.keep(key, object, parts, { recipe, exclusive: sharing === 'exclusive' });
  return shared.peek(key);
}

/** What the program awaits is compiled beside everything else, and the program waits for the same. */
function compile(
  { device, shared }: OpenDevice,
  command: DecodedCommand,
  key: string,
  parts: readonly object[],
): Promise<void> {
  const { operation, args, sharing, recipe } = command;
  const start = monotonicNow();
  const pipeline = call(device, operation.member, args) as Promise<object>;
  shared.expect(key, pipeline);
  return pipeline.then(
    (object) => {
      took(object, monotonicNow() - start);
      shared.keep(key, object, parts, { recipe, exclusive: sharing === 'exclusive' });
    },
    () => {},
  );
}

function call(device: GPUDevice, member: string, args: readonly unknown[]): object {
  return (device as unknown as Record<string, (...args: readonly unknown[]) => object>)[member]?.(
    ...args,
  ) as object;
}
