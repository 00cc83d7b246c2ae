import { invariant, messageOf } from '../../../proto/errors.js';
import { GPUBufferUsage, GPUMapMode } from '../../../proto/gen/webgpu.js';
import { textureBytes } from '../../../proto/texture-size.js';
import { FOREIGN_ID, ROOT_ID } from '../../../proto/wire/handle.js';
import { requestAdapter, requestDevice } from '../handlers/adapters.js';
import type { Kept, Step } from '../live/live-objects.js';
import { deviceOf, type Entry, objectIn, ROOT } from '../objects/object-table.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { PendingReply } from '../wire/reply-writer.js';
import { checked, scoped } from './checked.js';
import { makeLate } from './late-objects.js';
import { described, differs, offersLess, otherSubgroups } from './same-gpu.js';
import type { DeviceState, SessionParts, SessionState } from './session-state.js';
import { SpentObjects } from './spent-objects.js';

type Resource = GPUBuffer | GPUTexture;

/** An object to make again. */
type Again = Kept<DecodedCommand>;

/**
 * Makes the objects of a parked session again, in the order of their numbers, with the commands that made them. Errors of
 * this reach nobody else. An object that was valid must be valid again.
 */
export class Rebuilding {
  readonly #parts: SessionParts;
  readonly #state: SessionState;
  readonly #commands: readonly DecodedCommand[];
  readonly #objects: readonly Again[];
  readonly #entries = new Map<number, Entry>();
  readonly #lost: ReadonlySet<number>;
  /** The objects whose commands make the objects of the state: devices, and adapters and encoders whose object is live. */
  readonly #makers: ReadonlySet<number | undefined>;
  /** Awaited creates that are under way, by the number of their object. */
  readonly #coming = new Map<number, Promise<void>>();
  /** Buffers that are filled while they are mapped. */
  readonly #mapped = new Set<GPUBuffer>();
  /** Each rejects where an object that was valid cannot be made. */
  readonly #checks: Promise<void>[] = [];
  /** Encoders of render bundles whose commands are not recorded yet, by their numbers. */
  readonly #recorders = new Map<number, Again>();
  readonly #spent = new Map<Entry, SpentObjects>();
  /** Destroyed buffers and textures, their views and bind groups. To make one takes memory, so that each is made late. */
  readonly #late = new Set<number>();

  constructor(parts: SessionParts, state: SessionState, commands: readonly DecodedCommand[]) {
    this.#parts = parts;
    this.#state = state;
    this.#commands = commands;
    this.#objects = state.objects.map((made) => ({
      ...made,
      command: this.command(made.command),
      recorded: made.recorded.map((step) => ({ ...step, command: this.command(step.command) })),
    }));
    this.#makers = new Set(state.objects.map(({ operands }) => operands[0]));
    this.#lost = new Set(state.devices.filter(({ isLost }) => isLost).map(({ id }) => id));
  }

  /** The command at a position of the state's list. */
  command(at: number): DecodedCommand {
    const command = this.#commands[at];
    invariant(command, 'a parked command has a position in the list of commands');
    return command;
  }

  /** Makes the objects. Their contents may follow. */
  async run(): Promise<void> {
    const { memory } = this.#parts.context;
    const { used } = this.#state.memory;
    if (!memory.fits(used)) await memory.more(used);
    if (!memory.fits(used)) throw new Error(`its ${used} bytes of GPU memory are not free here`);
    for (const made of this.#objects) await this.#make(made);
    await Promise.all(this.#coming.values());
    for (const encoder of this.#recorders.values()) this.#recordAlone(encoder);
    await Promise.all(this.#checks);
  }

  /** A resource to fill. */
  resource(id: number): { device: GPUDevice; object: Resource; isMapped: boolean } {
    const { device, object } = this.#entry(id);
    const isMapped = this.#mapped.has(object as GPUBuffer);
    return { device: device?.object as GPUDevice, object: object as Resource, isMapped };
  }

  /** Call it when the contents are there. */
  async finish(): Promise<void> {
    const { context, runner } = this.#parts;
    const { objects, parkable } = context;
    const state = this.#state;
    for (const buffer of this.#mapped) buffer.unmap();
    for (const { id, offset, size } of state.mapped) {
      const { object, device } = this.resource(id);
      const buffer = object as GPUBuffer;
      parkable.mapped.set(buffer, { offset, size });
      const { result } = scoped(device, () => buffer.mapAsync(GPUMapMode.READ, offset, size));
      const mapped = result.catch((error: Error) => {
        throw new Error(`a buffer cannot be mapped here: ${error.message || 'the GPU was lost'}`);
      });
      // Awaited below, with all checks.
      mapped.catch(() => {});
      this.#checks.push(mapped);
    }
    for (const { id, kind, device } of state.spent)
      objects.reserve(id, kind, this.#entry(device)).object = this.#spentObject(this.#entry(device), kind);
    parkable.live.restore(this.#objects, (id) => this.#entry(id));
    // As the client has released it: its memory counts no longer than it did.
    for (const { id, isNamed } of this.#objects) if (!isNamed) runner.release(id, 1);
    for (const device of state.devices) await this.#finishDevice(device);
    await Promise.all(this.#checks);
  }

  async #make(made: Again): Promise<void> {
    const { context } = this.#parts;
    const { command, operands } = made;
    // The commands of a render bundle name pipelines, too.
    const steps = this.#recorders.get(operands[0] as number)?.recorded ?? [];
    for (const step of [made, ...steps]) for (const id of step.operands) await this.#coming.get(id);
    const { creates = '' } = command.operation;
    const self = operands[0] === ROOT_ID ? ROOT : this.#entry(operands[0] as number);
    const owner = deviceOf(self);
    const entry = context.objects.reserve(made.id, creates, owner);
    this.#entries.set(made.id, entry);
    if (creates === 'GPURenderBundleEncoder') this.#recorders.set(made.id, made);
    if (this.#isLate(made)) {
      this.#late.add(made.id);
      makeLate(context, entry, made, (id) => this.#entry(id));
      return;
    }
    this.#fill(made, owner);
    if (creates === 'GPUAdapter') await this.#adapter(entry, made);
    else if (creates === 'GPUDevice') await this.#device(entry, made, self);
    else if (creates === 'GPUQueue') entry.object = (self.object as GPUDevice).queue;
    else this.#object(entry, made, self, owner as Entry);
    command.clear();
    if (entry.object) setLabel(entry.object, made);
  }

  #isLate({ command, operands, isDestroyed, isValid }: Again): boolean {
    const { creates } = command.operation;
    if (isValid === false) return false;
    if (creates === 'GPUBuffer' || creates === 'GPUTexture') return isDestroyed;
    const isView = creates === 'GPUTextureView' || creates === 'GPUBindGroup';
    return isView && operands.some((id) => this.#late.has(id));
  }

  #fill({ command, operands, payloads }: Step<DecodedCommand>, owner: Entry | undefined): void {
    command.fill(operands, payloads, (id, kinds) => {
      if (id !== FOREIGN_ID) return objectIn(this.#entry(id));
      invariant(owner, 'an object of another session is named on a device');
      return this.#parts.context.invalidObject(owner, kinds);
    });
  }

  async #adapter(entry: Entry, { id, command, isSpent }: Again): Promise<void> {
    const { context } = this.#parts;
    await settle(requestAdapter(context, ROOT, command.args as never, entry, command));
    const adapter = entry.object as GPUAdapter | undefined;
    if (!adapter) throw new Error('this host has no such adapter');
    const known = this.#state.described.get(id);
    const here = described(adapter, adapter.info);
    // Of an adapter that has given its device, the program can use nothing more.
    const less = known && (offersLess(here, known) ?? (isSpent ? undefined : otherSubgroups(here, known)));
    if (less !== undefined) throw new Error(`the adapter here offers less: ${less}`);
    // Its device is gone, and it gives no other.
    if (isSpent && !this.#makers.has(id)) (await adapter.requestDevice()).destroy();
  }

  async #device(entry: Entry, { id, command }: Again, self: Entry): Promise<void> {
    const { context } = this.#parts;
    await settle(requestDevice(context, self, command.args as never, entry, command));
    const opened = context.devices.of(entry);
    if (this.#lost.has(id)) {
      // The client knows.
      opened.own({ uncaptured: () => {}, lost: () => {} });
      opened.destroyed();
      opened.device.destroy();
      return;
    }
    const known = this.#state.described.get(id);
    const { device } = opened;
    const difference = known && differs(described(device, device.adapterInfo), known);
    if (difference !== undefined) throw new Error(`the device here is another: ${difference}`);
    // The pipelines that the program compiled on earlier devices compile together. `#object` finds them.
    await opened.compiling;
  }

  #object(entry: Entry, made: Again, self: Entry, owner: Entry): void {
    const { context } = this.#parts;
    const { command, isValid } = made;
    const label = labelOf(made);
    const invalid = () => context.devices.of(owner).invalid.make(entry.kind, label);
    // The program may ask an invalid shader for the compiler's messages.
    if (isValid === false && entry.kind !== 'GPUShaderModule') {
      entry.object = invalid();
      // It may have been mapped at its creation. Here nothing is mapped, so that to write there would be one more error.
      if (entry.kind === 'GPUBuffer') context.uploads.unmade.add(entry);
      return;
    }
    const { shared } = context.devices.of(owner);
    const { sharing, recipe } = command;
    const parts = [self.object as object, ...command.objects];
    const key = shared.key(command.content, parts);
    const keep = (object: object) => {
      // An object with a label of its own serves no other handle.
      if (made.label !== undefined) return;
      if (sharing === 'exclusive') shared.lend(key, object, parts, recipe);
      else if (sharing && shared.isWorthKeeping(key)) shared.keep(key, object, parts, { recipe });
    };
    entry.object = sharing && made.label === undefined ? shared.take(key) : undefined;
    if (entry.object) return;
    let why = '';
    const { result, error } = scoped(owner.object as GPUDevice, () => {
      try {
        return this.#call(entry, made, self);
      } catch (exception) {
        // It means no object, as it did when the program made the object.
        why = messageOf(exception);
        return undefined;
      }
    });
    entry.object = result instanceof Promise ? undefined : (result as object | undefined);
    if (result instanceof Promise) {
      const came = (result as Promise<object>).then(
        (object) => {
          entry.object = object;
          setLabel(object, made);
          keep(object);
        },
        (error: Error) => {
          if (isValid) throw new Error(`a ${entry.kind} cannot be made here: ${error.message}`);
          entry.object = invalid();
        },
      );
      this.#coming.set(made.id, came);
      // `run` awaits it, and so does each object that is made of this one.
      came.catch(() => {});
      return;
    }
    entry.object ??= invalid();
    context.memory.keepParts(self, command.objects, entry);
    if (this.#lost.has(owner.id)) return;
    const object = entry.object;
    const check = error.then((found) => {
      if (isValid && (found || !result))
        throw new Error(`a ${entry.kind} cannot be made here: ${found?.message ?? why}`);
      if (isValid === false && result && !found)
        throw new Error(`a ${entry.kind} is valid here, and was not`);
      if (isValid) keep(object);
    });
    // `run` awaits all checks, once everything is made.
    check.catch(() => {});
    this.#checks.push(check);
  }

  #call(entry: Entry, made: Again, self: Entry): unknown {
    const { command } = made;
    const receiver = self.object as object;
    if (entry.kind === 'GPUBuffer') return this.#buffer(receiver as GPUDevice, made);
    if (entry.kind === 'GPUTexture') return this.#texture(receiver as GPUDevice, made);
    // Pipelines compile beside each other.
    if (entry.kind === 'GPUComputePipeline')
      return (receiver as GPUDevice).createComputePipelineAsync(
        ...(command.args as [GPUComputePipelineDescriptor]),
      );
    if (entry.kind === 'GPURenderPipeline')
      return (receiver as GPUDevice).createRenderPipelineAsync(
        ...(command.args as [GPURenderPipelineDescriptor]),
      );
    // A scope of the program may have caught the refusal, so that the view counts as neither valid nor invalid.
    const { parkable } = this.#parts.context;
    const isView = entry.kind === 'GPUTextureView';
    if (isView && parkable.copyable.refusesView(receiver, command.args[0] as object)) return undefined;
    const args = isView ? parkable.copyable.viewArgs(receiver, command.args) : command.args;
    const recorder = this.#recorders.get(made.operands[0] as number);
    if (recorder) this.#recordAll(receiver as GPURenderBundleEncoder, recorder, self.device);
    const result = command.method(receiver).apply(receiver, args);
    if (entry.kind === 'GPUQuerySet' && made.isDestroyed) (result as GPUQuerySet).destroy();
    return result;
  }

  /** Records the commands of a render bundle, or of an encoder that has none, whose parts may be newer than the encoder. */
  #recordAll(encoder: GPURenderBundleEncoder, { id, recorded }: Again, owner: Entry | undefined): void {
    this.#recorders.delete(id);
    for (const step of recorded) this.#record(encoder, step, owner);
  }

  /** Errors of the encoder belong to its bundle, which the program does not have, or which is invalid. */
  #recordAlone(made: Again): void {
    const { device: owner, object } = this.#entry(made.id);
    const encoder = object as GPURenderBundleEncoder;
    scoped(owner?.object as GPUDevice, () => {
      try {
        this.#recordAll(encoder, made, owner);
        if (made.isFinished) encoder.finish();
      } catch {
        // An exception means no object, as it did when the program made the object.
      }
    });
  }

  #buffer(device: GPUDevice, made: Again): GPUBuffer {
    const { parkable } = this.#parts.context;
    const { command } = made;
    const [descriptor] = command.args as [GPUBufferDescriptor];
    const { size, usage } = descriptor;
    // No other may be mapped: the implementation would take the same memory again until it is filled.
    const mappedAtCreation = (usage & GPUBufferUsage.MAP_WRITE) !== 0;
    const create = (as: GPUBufferDescriptor) => device.createBuffer(as);
    const make = () => parkable.copyable.bufferToFill({ ...descriptor, mappedAtCreation }, create);
    const buffer = this.#allocate(made, size, make);
    if (mappedAtCreation) this.#mapped.add(buffer);
    return buffer;
  }

  #texture(device: GPUDevice, made: Again): GPUTexture {
    const { parkable } = this.#parts.context;
    const [descriptor] = made.command.args as [GPUTextureDescriptor];
    const create = (as: GPUTextureDescriptor) => device.createTexture(as);
    const make = () => parkable.copyable.texture({ ...descriptor }, create);
    return this.#allocate(made, textureBytes(descriptor), make);
  }

  /** An object that the program has released, and of which others are made, counts as it did before. */
  #allocate<T extends object>({ command, isNamed }: Again, bytes: number, make: () => T): T {
    const { memory } = this.#parts.context;
    if (!isNamed && !memory.countsReleased) return make();
    const operation = `GPUDevice.${command.operation.member}`;
    return memory.allocate({ operation, bytes, exceeds: () => false, make });
  }

  #record(encoder: GPURenderBundleEncoder, step: Step<DecodedCommand>, owner: Entry | undefined): void {
    const { command } = step;
    this.#fill(step, owner);
    command.method(encoder).apply(encoder, command.args);
    command.clear();
  }

  async #finishDevice({ id, isLost, scopes, hasBrought }: DeviceState): Promise<void> {
    const entry = this.#entry(id);
    const opened = this.#parts.context.devices.of(entry);
    if (isLost) return;
    const { device } = opened;
    await device.queue.onSubmittedWorkDone();
    if (opened.isLost) throw new Error('the GPU was lost while the session came back');
    opened.asides.expect().data = hasBrought;
    for (const scope of scopes) {
      device.pushErrorScope(scope.filter);
      opened.scopes.restore(scope);
    }
  }

  #spentObject(owner: Entry, kind: string): object {
    const device = owner.object as GPUDevice;
    const spent = this.#spent.get(owner) ?? new SpentObjects(device);
    this.#spent.set(owner, spent);
    const { result, done } = checked(device, () => spent.get(kind));
    this.#checks.push(done);
    return result;
  }

  #entry(id: number): Entry {
    const entry = this.#entries.get(id);
    invariant(entry, 'an object comes after its parts');
    return entry;
  }
}

/** Has an awaited command done, as the client's would be. */
async function settle({ promise, reply }: PendingReply): Promise<void> {
  const value = await promise;
  reply?.(value as never);
}

/** The label that an object has. */
function labelOf({ label, command }: Again): string {
  const [descriptor] = command.args as [{ label?: string }?];
  return label ?? descriptor?.label ?? '';
}

function setLabel(object: object, { label }: Again): void {
  if (label !== undefined) (object as GPUObjectBase).label = label;
}
