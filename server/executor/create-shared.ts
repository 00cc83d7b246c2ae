import type { Awaited, Context } from './context.js';
import type { Entry } from './objects.js';
import type { PreparedCommand } from './prepared-command.js';

/**
 * The interfaces whose objects never change, so that one of them can stand behind several handles.
 * Pipelines are among them where their layout is explicit: one with `layout: 'auto'` has layouts of its
 * own, which fit no other pipeline.
 */
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

/** Whether what a command makes may stand behind several handles. */
export function makesShared({ operation, args }: PreparedCommand): boolean {
  return IMMUTABLE.has(operation.creates) && (args[0] as { layout?: unknown } | undefined)?.layout !== 'auto';
}

/** Carries out such a create by `make`, unless an equal object is there. The command's slots are filled. */
export function createShared(
  context: Context,
  self: Entry,
  command: PreparedCommand,
  make: () => object,
): object {
  const { shared } = context;
  const device = self.device ?? self;
  const parts = [self.object as object, ...command.objects];
  const key = shared.key(command.content, parts);
  const kept = shared.take(key);
  if (kept) return kept;
  const isNew = shared.isNew(key);
  const { object, valid } = context.makeChecked(device, make);
  if (valid && !isNew) shared.keep(key, object, parts);
  return object;
}

/** The same for a create that is awaited, and so says by itself whether the object is valid. */
export function createSharedAsync(
  { shared }: Context,
  self: Entry,
  command: PreparedCommand,
  made: Entry,
  make: () => Awaited,
): Awaited {
  const parts = [self.object as object, ...command.objects];
  const key = shared.key(command.content, parts);
  const kept = shared.take(key);
  if (kept) {
    const reply = () => {
      made.object = kept;
    };
    return { promise: Promise.resolve(), reply };
  }
  shared.isNew(key);
  const { promise, reply } = make();
  const replyAndKeep = (object: never) => {
    const replied = reply?.(object);
    shared.keep(key, object, parts);
    return replied;
  };
  return { promise, reply: replyAndKeep };
}
