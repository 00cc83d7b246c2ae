import type { Awaited, Context } from '../handlers/context.js';
import type { Entry } from '../objects/object-table.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import { spared, timed, timedLater } from './compile-times.js';
import type { SharedObjects } from './shared-objects.js';

/** The interfaces whose objects never change, so that one of them can stand behind several handles. */
const IMMUTABLE: ReadonlySet<string | undefined> = new Set([
  'GPUBindGroup',
  'GPUBindGroupLayout',
  'GPUComputePipeline',
  'GPUPipelineLayout',
  'GPURenderPipeline',
  'GPUSampler',
  'GPUShaderModule',
  'GPUTextureView',
]);

/**
 * How an object that a command makes may be had again: `shared`, by any number of handles at once;
 * `exclusive`, by one session after the other, which is a pipeline with `layout: 'auto'`, since its layouts
 * fit no other pipeline; undefined, not at all.
 */
export type Sharing = 'shared' | 'exclusive' | undefined;

export function sharingOf({ operation, args }: DecodedCommand): Sharing {
  if (!IMMUTABLE.has(operation.creates)) return undefined;
  return (args[0] as { layout?: unknown } | undefined)?.layout === 'auto' ? 'exclusive' : 'shared';
}

/** Carries out such a create by `make`, unless an equal object is there. The command's slots are filled. */
export function createShared(
  context: Context,
  self: Entry,
  command: DecodedCommand,
  make: () => object,
): object {
  const device = self.device ?? self;
  const { shared } = context.opened(device);
  const { key, remember } = place(shared, self, command);
  const kept = shared.take(key);
  if (kept) {
    spared(context.work, kept);
    return kept;
  }
  if (command.sharing === 'shared' && !shared.isWorthKeeping(key)) return make();
  const { creates } = command.operation;
  return context.makeChecked(device, () => timed(context.work, creates, make), remember());
}

/** The same for a create that is awaited, and so says by itself whether the object is valid. */
export function createSharedAsync(
  context: Context,
  self: Entry,
  command: DecodedCommand,
  made: Entry,
  make: () => Awaited,
): Awaited {
  const { shared } = context.opened(self);
  const { key, remember } = place(shared, self, command);
  const kept = shared.take(key);
  if (kept) {
    spared(context.work, kept);
    made.object = kept;
    return { promise: Promise.resolve() };
  }
  const expected = shared.expected(key, command.sharing === 'exclusive');
  if (expected) {
    const reply = (object: object) => {
      made.object = shared.take(key) ?? object;
      spared(context.work, made.object);
    };
    return { promise: expected, reply };
  }
  const { promise, reply } = make();
  timedLater(context.work, promise);
  const keep = remember();
  const replyAndKeep = (object: never) => {
    keep(object);
    return reply?.(object);
  };
  return { promise, reply: replyAndKeep };
}

/**
 * Where what a command makes has its place among the device's objects: its key; and `remember`, which gives what
 * is to be called with the object once it is known to be valid. While the slots are filled.
 */
function place(shared: SharedObjects, self: Entry, command: DecodedCommand) {
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
