import { messageOf, ProtocolError } from '../../proto/errors.js';
import { FOREIGN_ID, ROOT_ID } from '../../proto/wire/handle.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';
import type { Context } from './handlers/context.js';
import { HANDLERS } from './handlers/index.js';
import type { Made, Part } from './live/made.js';
import { deviceOf, type Entry, objectIn, ROOT } from './objects/object-table.js';
import { createShared, createSharedAsync } from './reuse/create-shared.js';
import type { SessionTracer } from './trace/session-tracer.js';
import type { DecodedCommand } from './wire/decoded-command.js';
import type { Runner } from './wire/held-commands.js';
import type { PendingReply } from './wire/reply-writer.js';

/** The interfaces whose commands the root receives. */
const OF_SESSION: ReadonlySet<string> = new Set([
  'FarlightSession',
  'FarlightActivity',
  'FarlightMemory',
  'FarlightLines',
  'GPU',
]);

/** The interfaces of Farlight's own whose commands objects of another interface receive. */
const RECEIVERS: ReadonlyMap<string, string> = new Map([['FarlightRange', 'GPUQueue']]);

/**
 * Carries out a session's commands on the GPU, one after the other. It finds receivers and objects by their handles,
 * makes the call, keeps the object that the call creates, and has awaited commands replied to.
 */
export class CommandRunner implements Runner<DecodedCommand> {
  readonly #context: Context;
  readonly #tracer: SessionTracer;
  readonly #resolve = (id: number, kinds: readonly string[]) => this.#context.objects.resolve(id, kinds);
  /** The same, and notes the objects in `#parts`. */
  readonly #resolveNoted = (id: number, kinds: readonly string[]) => {
    const { objects, parkable } = this.#context;
    const at = this.#nextPart++;
    if (id === FOREIGN_ID || !parkable) {
      this.#parts[at] = id;
      return objects.resolve(id, kinds);
    }
    const entry = objects.argument(id, kinds);
    this.#parts[at] = parkable.live.partOf(entry);
    return objectIn(entry);
  };
  readonly #named = (id: number) => (id === FOREIGN_ID ? undefined : this.#context.objects.get(id));
  /** The objects that the current command names, where it is noted, and how many were found. */
  #parts: Part<DecodedCommand>[] = [];
  #nextPart = 0;
  #nextSerial = 1;
  #executed = 0;
  /** How many awaited commands are not replied to. */
  #pending = 0;
  /** The receiver of the current command. */
  #self: Entry = ROOT;

  constructor(context: Context, tracer: SessionTracer) {
    this.#context = context;
    this.#tracer = tracer;
  }

  /** How many commands were carried out. */
  get executed(): number {
    return this.#executed;
  }

  /** How many of them were awaited. */
  get awaited(): number {
    return this.#nextSerial - 1;
  }

  /** Whether each awaited command was replied to. */
  get isSettled(): boolean {
    return this.#pending === 0;
  }

  /** The counts, to continue from in another process. */
  get counts(): RunnerCounts {
    return { executed: this.#executed, nextSerial: this.#nextSerial };
  }

  restore({ executed, nextSerial }: RunnerCounts): void {
    this.#executed = executed;
    this.#nextSerial = nextSerial;
  }

  /** Carries out one command. `id` is the handle of the object that it creates, if it creates one. */
  execute(
    command: DecodedCommand,
    operands: readonly number[],
    payloads: readonly Uint8Array[],
    id: number,
  ): void {
    const { operation } = command;
    const self = this.#receiver(operands, operation);
    this.#executed += 1;
    this.#self = self;
    const { live } = this.#context.parkable ?? {};
    const meaning = live?.meaningOf(operation) ?? 'nothing';
    const isNoted = meaning === 'create' || meaning === 'record';
    if (live && isNoted) {
      this.#parts = new Array(operands.length);
      this.#parts[0] = live.partOf(self);
      this.#nextPart = 1;
    }
    command.fill(operands, payloads, isNoted ? this.#resolveNoted : this.#resolve);
    const made =
      operation.creates === undefined
        ? undefined
        : this.#context.objects.reserve(id, operation.creates, deviceOf(self));
    let noted: Made<DecodedCommand> | undefined;
    if (meaning === 'create') noted = live?.created(command, this.#parts, payloads, made as Entry);
    else if (meaning === 'record') live?.recorded(command, this.#parts, payloads);
    else if (meaning !== 'nothing') live?.changed(meaning, self, made, operands, this.#named);
    if (operation.fate === 'awaited') this.#request(command, self, made, noted);
    else this.#command(command, self, made, noted);
    this.#context.memory.keepParts(self, command.objects, made);
    command.clear();
  }

  /** The client has released `count` handles, from `first` on. */
  release(first: number, count: number): void {
    for (let id = first; id < first + count; id += 1) {
      const entry = this.#context.objects.release(id);
      const { kind, object, device } = entry;
      this.#context.parkable?.live.release(entry);
      if (object && device) this.#context.devices.releaseObject(device, object);
      if (kind === 'GPUDevice') this.#context.releaseDevice(entry);
      if (object && (kind === 'GPUBuffer' || kind === 'GPUTexture')) {
        this.#context.garbage.released(object as GPUBuffer | GPUTexture);
        this.#context.memory.released(object as GPUBuffer | GPUTexture);
      }
    }
  }

  /** An invalid object for the current command, which names an object of another session. */
  invalidObject(kinds: readonly string[]): object {
    const device = deviceOf(this.#self);
    if (!device) throw new ProtocolError('an object of another session for a receiver without a device');
    return this.#context.invalidObject(device, kinds);
  }

  #receiver([id]: readonly number[], operation: AnyOperation): Entry {
    if (id === undefined) throw new ProtocolError('a command without a receiver');
    if (!OF_SESSION.has(operation.interface)) {
      const kind = RECEIVERS.get(operation.interface) ?? operation.interface;
      return this.#context.objects.receiver(id, kind);
    }
    if (id !== ROOT_ID)
      throw new ProtocolError(`${operation.interface}.${operation.member} on the object ${id}`);
    return ROOT;
  }

  /** `noted` is how the object is made, where the session may be parked and notes that. */
  #command(
    command: DecodedCommand,
    self: Entry,
    made: Entry | undefined,
    noted: Made<DecodedCommand> | undefined,
  ): void {
    const act = () => {
      const result = this.#tracer.compiles(command)
        ? this.#tracer.compile(command, () => this.#make(command, self, made))
        : this.#make(command, self, made);
      if (made) made.object = result as object;
    };
    const device = deviceOf(self);
    if (!device) {
      act();
      return;
    }
    const opened = noted && this.#context.devices.of(device);
    const errors = opened?.errors;
    this.#context.attempt(device, act);
    if (noted) opened?.judge(noted, errors);
    if (!made || made.object) return;
    made.object = this.#context.invalidObject(device, [made.kind]);
    if (noted) noted.isValid = false;
  }

  #make(command: DecodedCommand, self: Entry, made: Entry | undefined): unknown {
    const device = command.sharing && deviceOf(self);
    if (!device) return this.#call(command, self, made);
    const { devices, work } = this.#context;
    const make = () => this.#call(command, self, made) as object;
    return createShared(devices.of(device), work, self, command, make);
  }

  #request(
    command: DecodedCommand,
    self: Entry,
    made: Entry | undefined,
    noted: Made<DecodedCommand> | undefined,
  ): void {
    const { operation } = command;
    const serial = this.#nextSerial++;
    const { replies } = this.#context;
    const replied = this.#tracer.awaited(command, self.object, serial);
    const live = this.#context.parkable?.live;
    this.#pending += 1;
    const rejected = (error: unknown) => {
      this.#pending -= 1;
      if (made && !made.object) this.#context.objects.release(made.id);
      if (made) live?.release(made);
      replies.rejected(serial, describeRejection(error));
      replied?.();
    };
    try {
      const { promise, reply } = this.#tracer.compiles(command)
        ? this.#tracer.compile(command, () => this.#await(command, self, made))
        : this.#await(command, self, made);
      promise.then((value) => {
        try {
          replies.fulfilled(serial, operation, reply ? reply(value as never) : value);
          this.#pending -= 1;
          if (made?.object && noted) live?.came(noted);
          else if (made && !made.object) live?.release(made);
          replied?.();
        } catch (error) {
          rejected(error);
        }
      }, rejected);
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      rejected(error);
    }
  }

  /** Starts an awaited command. Its handler returns the pending reply, and the implementation's method a promise. */
  #await(command: DecodedCommand, self: Entry, made: Entry | undefined): PendingReply {
    const call = () => {
      const result = this.#call(command, self, made);
      return result instanceof Promise ? { promise: result } : (result as PendingReply);
    };
    if (!made || !command.sharing) return call();
    const { devices, work } = this.#context;
    return createSharedAsync(devices.of(self), work, self, command, made, call);
  }

  #call(command: DecodedCommand, asked: Entry, made: Entry | undefined): unknown {
    const { copyable } = this.#context.parkable ?? {};
    const isLookedAt = copyable?.looksAt(command.operation) === true;
    const self = isLookedAt ? this.#refused(command, asked) : asked;
    const handler = HANDLERS[command.operation.opcode];
    if (handler) return handler(this.#context, self, command.args as never, made, command);
    const object = self.object as object;
    const isView = isLookedAt && command.operation.member === 'createView';
    const args = isView ? copyable.viewArgs(object, command.args) : command.args;
    return command.method(object).apply(object, args);
  }

  /**
   * Puts invalid objects in the place of resources that have a usage only for parking. @returns the receiver, or an
   * invalid one.
   */
  #refused({ operation, args }: DecodedCommand, self: Entry): Entry {
    const { parkable } = this.#context;
    const device = deviceOf(self);
    if (!parkable || !device) return self;
    const invalid = (kind: string) => this.#context.invalidObject(device, [kind]);
    parkable.copyable.check(operation, args, invalid);
    const isRefused =
      operation.member === 'createView' &&
      parkable.copyable.refusesView(self.object as object, args[0] as object);
    return isRefused ? { ...self, object: invalid(self.kind) } : self;
  }
}

/** How many commands were executed, and the number of the next awaited one. */
export interface RunnerCounts {
  readonly executed: number;
  readonly nextSerial: number;
}

function describeRejection(error: unknown): Rejection {
  const { name, reason } = error as { name?: unknown; reason?: unknown };
  return {
    name: typeof name === 'string' ? name : 'OperationError',
    message: messageOf(error),
    reason: typeof reason === 'string' ? reason : '',
  };
}
