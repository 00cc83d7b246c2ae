import type { Awaited, Context } from './context.js';
import type { Entry } from './objects.js';
import type { PreparedCommand } from './prepared-command.js';

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

export function sharingOf({ operation, args }: PreparedCommand): Sharing {
  if (!IMMUTABLE.has(operation.creates)) return undefined;
  return (args[0] as { layout?: unknown } | undefined)?.layout === 'auto' ? 'exclusive' : 'shared';
}

/** Carries out such a create by `make`, unless an equal object is there. The command's slots are filled. */
export function createShared(
  context: Context,
  self: Entry,
  command: PreparedCommand,
  make: () => object,
): object {
  const device = self.device ?? self;
  const { shared } = context.opened(device);
  const parts = [self.object as object, ...command.objects];
  const key = shared.key(command.content, parts);
  const kept = shared.take(key);
  if (kept) return kept;
  const exclusive = command.sharing === 'exclusive';
  if (!exclusive && !shared.isWorthKeeping(key)) return make();
  const { recipe } = command;
  return context.makeChecked(device, make, (object) => {
    if (exclusive) shared.lend(key, object, parts, recipe);
    else shared.keep(key, object, parts, { recipe });
  });
}

/** The same for a create that is awaited, and so says by itself whether the object is valid. */
export function createSharedAsync(
  context: Context,
  self: Entry,
  command: PreparedCommand,
  made: Entry,
  make: () => Awaited,
): Awaited {
  const { shared } = context.opened(self);
  const parts = [self.object as object, ...command.objects];
  const key = shared.key(command.content, parts);
  const kept = shared.take(key);
  if (kept) {
    made.object = kept;
    return { promise: Promise.resolve() };
  }
  const exclusive = command.sharing === 'exclusive';
  const expected = shared.expected(key, exclusive);
  if (expected) {
    const reply = (object: object) => {
      made.object = shared.take(key) ?? object;
    };
    return { promise: expected, reply };
  }
  const { recipe } = command;
  const { promise, reply } = make();
  const replyAndKeep = (object: never) => {
    if (exclusive) shared.lend(key, object, parts, recipe);
    else shared.keep(key, object, parts, { recipe });
    return reply?.(object);
  };
  return { promise, reply: replyAndKeep };
}
