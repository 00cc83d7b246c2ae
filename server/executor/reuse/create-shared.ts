import type { WorkCounts } from '../../../proto/session/session-counts.js';
import type { Entry } from '../objects/object-table.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { PendingReply } from '../wire/reply-writer.js';
import { countSpared, timed, timedLater } from './compile-times.js';
import type { OpenDevice } from './open-device.js';
import type { SharedObjects } from './shared-objects.js';

/**
 * Carries out a create on `self`, the device or one of its objects. An equal object that is there already serves in
 * place of a new one. Call it while the command's slots are filled.
 */
export function createShared(
  opened: OpenDevice,
  work: WorkCounts,
  self: Entry,
  command: DecodedCommand,
  make: () => object,
): object {
  const { shared } = opened;
  const { key, remember } = sharePlace(shared, self, command);
  const there = shared.take(key);
  if (there) {
    countSpared(work, there);
    return there;
  }
  if (command.sharing === 'shared' && !shared.isWorthKeeping(key)) return make();
  const makeTimed = command.compiles ? () => timed(make, counts(work)) : make;
  return opened.makeChecked(makeTimed, remember());
}

/** The same for a create that is awaited. Its promise says whether the object is valid. */
export function createSharedAsync(
  { shared }: OpenDevice,
  work: WorkCounts,
  self: Entry,
  command: DecodedCommand,
  made: Entry,
  make: () => PendingReply,
): PendingReply {
  const { key, remember } = sharePlace(shared, self, command);
  const there = shared.take(key);
  if (there) {
    countSpared(work, there);
    made.object = there;
    return { promise: Promise.resolve() };
  }
  const expected = shared.expected(key, command.sharing === 'exclusive');
  if (expected) {
    const reply = (object: object) => {
      made.object = shared.take(key) ?? object;
      countSpared(work, made.object);
    };
    return { promise: expected, reply };
  }
  const { promise, reply } = make();
  timedLater(promise as Promise<object>, counts(work));
  const keep = remember();
  const replyAndKeep = (object: never) => {
    keep(object);
    return reply?.(object);
  };
  return { promise, reply: replyAndKeep };
}

function counts(work: WorkCounts): (ms: number) => void {
  return (ms) => {
    work.compileMs += ms;
  };
}

/**
 * The key of the command's object among the device's objects. `remember` returns a function: call that with the object
 * once it is known to be valid.
 */
function sharePlace(shared: SharedObjects, self: Entry, command: DecodedCommand) {
  const parts = [self.object as object, ...command.objects];
  const key = shared.key(command.content, parts);
  const remember = () => {
    const { recipe, sharing } = command;
    return (object: object) => {
      if (sharing === 'exclusive') shared.lend(key, object, parts, recipe);
      else shared.keep(key, object, parts, { recipe });
    };
  };
  return { key, remember };
}
