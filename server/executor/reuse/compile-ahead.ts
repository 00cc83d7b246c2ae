import { setImmediate as turn } from 'node:timers/promises';
import type { ProfileStep } from '../../profiles/profile.js';
import { DecodedCommand } from '../wire/decoded-command.js';
import { timed, timedLater } from './compile-times.js';
import type { OpenDevice } from './open-device.js';

/**
 * Makes objects on a new device before the program asks: the objects that the program made on the last device that it
 * asked for in the same way. Pipelines matter most, because they take long to compile. A step that fails is left out,
 * and its error does not reach the program. The device's `compiling` settles when all steps are done.
 */
export function compileAhead(opened: OpenDevice, steps: readonly ProfileStep[]): void {
  opened.compiling = makeSteps(opened, steps).then(() => {
    opened.compiling = undefined;
  });
}

async function makeSteps(opened: OpenDevice, steps: readonly ProfileStep[]): Promise<void> {
  const made: (object | undefined)[] = [opened.device];
  const pipelines: Promise<void>[] = [];
  /** The number of steps so far with each key. Equal pipelines with layouts of their own have one key. */
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
      // The profile is from another version of Farlight. The program makes the object itself.
    }
  }
  await Promise.all(pipelines);
}

/** Makes an object that the program makes without waiting: an equal one that is still under way is of no use to it. */
async function make(
  { device, shared }: OpenDevice,
  { operation, args, recipe, sharing }: DecodedCommand,
  key: string,
  parts: readonly object[],
): Promise<object | undefined> {
  device.pushErrorScope('validation');
  const object = timed(() => call(device, operation.member, args));
  if (await device.popErrorScope()) return undefined;
  shared.keep(key, object, parts, { recipe, exclusive: sharing === 'exclusive' });
  return shared.peek(key);
}

/** Compiles a pipeline that a program awaits. It compiles beside everything else, and the program waits for the same. */
function compile(
  { device, shared }: OpenDevice,
  command: DecodedCommand,
  key: string,
  parts: readonly object[],
): Promise<void> {
  const { operation, args, sharing, recipe } = command;
  const pipeline = call(device, operation.member, args) as Promise<object>;
  timedLater(pipeline);
  shared.expect(key, pipeline);
  return pipeline.then(
    (object) => shared.keep(key, object, parts, { recipe, exclusive: sharing === 'exclusive' }),
    () => {},
  );
}

function call(device: GPUDevice, member: string, args: readonly unknown[]): object {
  return (device as unknown as Record<string, (...args: readonly unknown[]) => object>)[member]?.(
    ...args,
  ) as object;
}
