import { ProtocolError } from '../../proto/errors.js';
import { COMMANDS } from '../../proto/gen/operations.js';
import { BatchAssembler } from '../../proto/wire/batch.js';
import { ROOT_ID } from '../../proto/wire/handle.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import { Reader } from '../../proto/wire/reader.js';
import type { Rejection } from '../../proto/wire/reply.js';
import { type Awaited, Context } from './context.js';
import type { SessionEndpoint, SessionPeer } from './endpoint.js';
import { HANDLERS } from './handlers/index.js';
import { type Entry, ObjectTable } from './objects.js';
import { ReplyWriter } from './reply-writer.js';

/** The receiver of the session's own commands. */
const ROOT: Entry = { id: ROOT_ID, generation: 0, kind: 'GPU', device: undefined, object: {} };

/**
 * One program's WebGPU session on this side: decodes its commands, in order, and drives the GPU with
 * them.
 *
 * States: *open*; *closed* (the peer is gone, or broke the protocol: its devices are destroyed, and
 * frames that still come are dropped).
 */
export class ExecutorSession implements SessionEndpoint {
  readonly #peer: SessionPeer;
  readonly #objects = new ObjectTable((kinds) => this.#standIn(kinds));
  readonly #assembler = new BatchAssembler();
  readonly #context: Context;
  /** The receiver of the command that is being read. */
  #reading: Entry = ROOT;
  #closed = false;

  /** `gpu` is the implementation that is driven; the session never closes it. */
  constructor(gpu: GPU, peer: SessionPeer) {
    this.#peer = peer;
    const replies = new ReplyWriter((frame) => {
      if (!this.#closed) peer.send(frame);
    });
    this.#context = new Context(gpu, this.#objects, replies);
  }

  receive(frame: Uint8Array): void {
    if (this.#closed) return;
    try {
      const batch = this.#assembler.push(frame);
      if (!batch) return;
      const reader = new Reader(batch, this.#objects);
      while (!reader.done) this.#execute(reader);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close();
      this.#peer.end('PROTOCOL_ERROR', `The client sent what the protocol does not allow: ${error.message}.`);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { object } of this.#objects.all('GPUDevice')) (object as GPUDevice | undefined)?.destroy();
  }

  /** Reads one command and carries it out. */
  #execute(reader: Reader<unknown>): void {
    const opcode = reader.u8();
    const operation = COMMANDS[opcode];
    if (!operation) throw new ProtocolError(`there is no command ${opcode}`);
    const self = this.#receiver(reader, operation);
    const made = operation.creates === undefined ? undefined : this.#reserve(reader, operation.creates, self);
    const serial = operation.fate === 'awaited' ? reader.u32() : undefined;
    this.#reading = self;
    const args = operation.read(reader);
    if (serial === undefined) this.#command(operation, self, args, made);
    else this.#request(operation, self, args, made, serial);
  }

  #standIn(kinds: readonly string[]): object {
    const device = deviceOf(this.#reading);
    if (!device) throw new ProtocolError('an object of another session where there is no device');
    return this.#context.standIn(device, kinds);
  }

  #receiver(reader: Reader<unknown>, operation: AnyOperation): Entry {
    const id = reader.u32();
    const generation = reader.u32();
    if (operation.interface !== 'FarlightSession' && operation.interface !== 'GPU') {
      return this.#objects.receiver(id, generation, operation.interface);
    }
    if (id !== ROOT_ID)
      throw new ProtocolError(`${operation.interface}.${operation.member} on the object ${id}`);
    return ROOT;
  }

  #reserve(reader: Reader<unknown>, kind: string, self: Entry): Entry {
    return this.#objects.reserve(reader.u32(), reader.u32(), kind, deviceOf(self));
  }

  #command(operation: AnyOperation, self: Entry, args: unknown[], made: Entry | undefined): void {
    try {
      const result = this.#call(operation, self, args, made);
      if (made) made.object = result as object;
    } catch (error) {
      const device = deviceOf(self);
      if (error instanceof ProtocolError || !device) throw error;
      // Where the implementation throws, the specification has an error of the device; the client has
      // made every check that throws before it sent the command.
      if (made) made.object = this.#context.standIn(device, [made.kind]);
      const type = error instanceof RangeError ? 'out-of-memory' : 'validation';
      this.#context.raise(device, type, messageOf(error));
    }
  }

  #request(
    operation: AnyOperation,
    self: Entry,
    args: unknown[],
    made: Entry | undefined,
    serial: number,
  ): void {
    const { replies } = this.#context;
    const rejected = (error: unknown) => {
      if (made && !made.object) this.#objects.release(made.id, made.generation);
      replies.rejected(serial, describeRejection(error));
    };
    try {
      const { promise, reply } = this.#await(operation, self, args, made);
      promise.then((value) => {
        try {
          replies.fulfilled(serial, operation, reply ? reply(value as never) : value);
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
  #await(operation: AnyOperation, self: Entry, args: unknown[], made: Entry | undefined): Awaited {
    const result = this.#call(operation, self, args, made);
    return result instanceof Promise ? { promise: result } : (result as Awaited);
  }

  #call(operation: AnyOperation, self: Entry, args: unknown[], made: Entry | undefined): unknown {
    const handler = HANDLERS[operation.interface]?.[operation.member];
    if (handler) return handler(this.#context, self, args as never, made);
    const method = (self.object as Record<string, (...args: unknown[]) => unknown>)[operation.member];
    if (!method)
      throw new Error(
        `${operation.interface}.${operation.member} is not in this host's WebGPU implementation.`,
      );
    // An absent argument at the end is left out, as a program would.
    while (args.length > 0 && args[args.length - 1] === undefined) args.pop();
    return method.apply(self.object, args);
  }
}

function deviceOf(self: Entry): Entry | undefined {
  return self.kind === 'GPUDevice' ? self : self.device;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function describeRejection(error: unknown): Rejection {
  const { name, reason } = error as { name?: unknown; reason?: unknown };
  return {
    name: typeof name === 'string' ? name : 'OperationError',
    message: messageOf(error),
    reason: typeof reason === 'string' ? reason : '',
  };
}
