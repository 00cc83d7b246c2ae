import { messageOf, ProtocolError } from '../../proto/errors.js';
import { ROOT_ID } from '../../proto/wire/handle.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';
import type { Awaited, Context } from './handlers/context.js';
import type { Entry } from './objects/object-table.js';
import { createShared, createSharedAsync } from './reuse/create-shared.js';
import type { SessionActivity } from './trace/session-tracer.js';
import type { DecodedCommand } from './wire/decoded-command.js';
import type { Carrier } from './wire/held-commands.js';

/** The receiver of the session's own commands. */
const ROOT: Entry = { id: ROOT_ID, kind: 'GPU', device: undefined, object: {} };

/** The interfaces whose commands it receives. */
const OF_SESSION: ReadonlySet<string> = new Set(['FarlightSession', 'FarlightActivity', 'GPU']);

/**
 * Carries out a session's commands on the GPU, one after the other, as they come: finds their receivers and objects,
 * makes the calls, keeps what they create by its handle, and has what is awaited answered.
 */
export class CommandRunner implements Carrier<DecodedCommand> {
  readonly #context: Context;
  readonly #activity: SessionActivity;
  readonly #resolve = (id: number, kinds: readonly string[]) => this.#context.objects.resolve(id, kinds);
  #nextSerial = 1;
  #executed = 0;
  /** The receiver of the command that is being read. */
  #reading: Entry = ROOT;

  constructor(context: Context, activity: SessionActivity) {
    this.#context = context;
    this.#activity = activity;
  }

  /** How many commands were carried out. */
  get executed(): number {
    return this.#executed;
  }

  /** How many of them were awaited. */
  get awaited(): number {
    return this.#nextSerial - 1;
  }

  /** Carries out one command; `id` is that of the object it creates, if it does. */
  execute(
    command: DecodedCommand,
    operands: readonly number[],
    payloads: readonly Uint8Array[],
    id: number,
  ): void {
    const { operation } = command;
    const self = this.#receiver(operands, operation);
    this.#executed += 1;
    this.#reading = self;
    this.#context.command = command;
    command.fill(operands, payloads, this.#resolve);
    const made =
      operation.creates === undefined
        ? undefined
        : this.#context.objects.reserve(id, operation.creates, deviceOf(self));
    if (operation.fate === 'awaited') this.#request(command, self, made, this.#nextSerial++);
    else this.#command(command, self, made);
    this.#context.memory?.keepParts(self, command.objects, made);
    command.clear();
  }

  /** The client has given up so many handles, from `first` on. */
  release(first: number, count: number): void {
    for (let id = first; id < first + count; id += 1) {
      const entry = this.#context.objects.release(id);
      const { kind, object, device } = entry;
      if (object && device) this.#context.released(device, object);
      if (kind === 'GPUDevice') this.#context.releaseDevice(entry);
      if (kind === 'GPUBuffer' || kind === 'GPUTexture') {
        this.#context.garbage.released(object as GPUBuffer | GPUTexture);
        this.#context.memory?.released(object as GPUBuffer | GPUTexture);
      }
    }
  }

  /** An invalid object in place of another session's, for the command that is being read. */
  standIn(kinds: readonly string[]): object {
    const device = deviceOf(this.#reading);
    if (!device) throw new ProtocolError('an object of another session where there is no device');
    return this.#context.standIn(device, kinds);
  }

  #receiver([id]: readonly number[], operation: AnyOperation): Entry {
    if (id === undefined) throw new ProtocolError('a command without a receiver');
    if (!OF_SESSION.has(operation.interface)) {
      return this.#context.objects.receiver(id, operation.interface);
    }
    if (id !== ROOT_ID)
      throw new ProtocolError(`${operation.interface}.${operation.member} on the object ${id}`);
    return ROOT;
  }

  #command(command: DecodedCommand, self: Entry, made: Entry | undefined): void {
    const act = () => {
      const result = this.#activity.compiles(command)
        ? this.#activity.compile(command, () => this.#make(command, self, made))
        : this.#make(command, self, made);
      if (made) made.object = result as object;
    };
    const device = deviceOf(self);
    if (device) this.#context.attempt(device, act);
    else act();
    if (device && made && !made.object) made.object = this.#context.standIn(device, [made.kind]);
  }

  /** What is there already is as good as what the command would make. */
  #make(command: DecodedCommand, self: Entry, made: Entry | undefined): unknown {
    return command.sharing
      ? createShared(this.#context, self, command, () => this.#call(command, self, made) as object)
      : this.#call(command, self, made);
  }

  #request(command: DecodedCommand, self: Entry, made: Entry | undefined, serial: number): void {
    const { operation } = command;
    const { replies } = this.#context;
    const answered = this.#activity.awaited(command, self.object, serial);
    const rejected = (error: unknown) => {
      if (made && !made.object) this.#context.objects.release(made.id);
      replies.rejected(serial, describeRejection(error));
      answered?.();
    };
    try {
      const { promise, reply } = this.#activity.compiles(command)
        ? this.#activity.compile(command, () => this.#await(command, self, made))
        : this.#await(command, self, made);
      promise.then((value) => {
        try {
          replies.fulfilled(serial, operation, reply ? reply(value as never) : value);
          answered?.();
        } catch (error) {
          rejected(error);
        }
      }, rejected);
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      rejected(error);
    }
  }

  /** What an awaited operation waits for: its handler says, or it is the promise that the method returns. */
  #await(command: DecodedCommand, self: Entry, made: Entry | undefined): Awaited {
    const call = () => {
      const result = this.#call(command, self, made);
      return result instanceof Promise ? { promise: result } : (result as Awaited);
    };
    return made && command.sharing ? createSharedAsync(this.#context, self, command, made, call) : call();
  }

  #call(command: DecodedCommand, self: Entry, made: Entry | undefined): unknown {
    const { handler } = command;
    if (handler) return handler(this.#context, self, command.args as never, made);
    const object = self.object as object;
    return command.method(object).apply(object, command.args);
  }
}

function deviceOf(self: Entry): Entry | undefined {
  return self.kind === 'GPUDevice' ? self : self.device;
}

function describeRejection(error: unknown): Rejection {
  const { name, reason } = error as { name?: unknown; reason?: unknown };
  return {
    name: typeof name === 'string' ? name : 'OperationError',
    message: messageOf(error),
    reason: typeof reason === 'string' ? reason : '',
  };
}
