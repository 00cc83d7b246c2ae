import { brokeProtocol, messageOf, ProtocolError } from '../../proto/errors.js';
import type { SessionLimits } from '../../proto/handshake.js';
import type { ShareCommand } from '../../proto/shares.js';
import { BatchAssembler } from '../../proto/wire/batch.js';
import { ROOT_ID } from '../../proto/wire/handle.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';
import type { Work } from '../../proto/work.js';
import type { BlobStore } from '../blobs/blob-store.js';
import { ACTIVITY_CLOCK, Activity } from './activity.js';
import { CommandDecoder } from './command-decoder.js';
import { type Awaited, Context, type Guards, type Profiles } from './context.js';
import { createShared, createSharedAsync } from './create-shared.js';
import type { SessionEndpoint, SessionPeer } from './endpoint.js';
import { GpuMemory } from './gpu-memory.js';
import { GpuTurn } from './gpu-turn.js';
import { CLOCK, GpuWatchdog, stuckSentence } from './gpu-watchdog.js';
import { HeldCommands } from './held-commands.js';
import { MemoryCount } from './memory-count.js';
import { type Entry, ObjectTable } from './objects.js';
import type { OpenDevice } from './open-device.js';
import { PreparedCommand } from './prepared-command.js';
import { ReplyWriter } from './reply-writer.js';
import { SessionActivity } from './session-activity.js';

/** The receiver of the session's own commands. */
const ROOT: Entry = { id: ROOT_ID, kind: 'GPU', device: undefined, object: {} };

/** The interfaces whose commands it receives. */
const OF_SESSION: ReadonlySet<string> = new Set(['FarlightSession', 'FarlightActivity', 'GPU']);

/** What sessions of the same program have left. */
export interface SessionLegacy {
  /** Devices, which the new session owns. */
  free?: OpenDevice[] | undefined;
  /** What was compiled on devices that are gone. */
  profiles?: Profiles | undefined;
  /** The contents that the client may name, of all programs of its tenant. Absent where it may name none. */
  store?: BlobStore | undefined;
  /** What the session may take of the GPU. Absent where it may take all. */
  limits?: SessionLimits | undefined;
  /** Tells what this process does. Absent where nobody outside of the session wants to know. */
  activity?: Activity | undefined;
}

/**
 * One program's WebGPU session on this side: decodes its commands, in order, and drives the GPU with
 * them.
 *
 * States: *open*; *closed* (the peer is gone, or broke the protocol: its devices are destroyed, and
 * frames that still come are dropped).
 */
export class ExecutorSession implements SessionEndpoint<OpenDevice[]> {
  readonly #peer: SessionPeer;
  readonly #objects = new ObjectTable((kinds) => this.#standIn(kinds));
  readonly #assembler = new BatchAssembler();
  readonly #context: Context;
  readonly #commands: CommandDecoder<PreparedCommand>;
  readonly #held: HeldCommands<PreparedCommand>;
  readonly #activity: SessionActivity;
  readonly #resolve = (id: number, kinds: readonly string[]) => this.#objects.resolve(id, kinds);
  #nextSerial = 1;
  #executed = 0;
  /** The receiver of the command that is being read. */
  #reading: Entry = ROOT;
  #closed = false;

  /** `gpu` is the implementation that is driven; the session never closes it. */
  constructor(gpu: GPU, peer: SessionPeer, legacy: SessionLegacy = {}) {
    const { free, profiles, store, limits, activity = new Activity({ clock: ACTIVITY_CLOCK }) } = legacy;
    this.#peer = peer;
    this.#activity = new SessionActivity(activity);
    const replies = new ReplyWriter((frame, ofActivity) => {
      this.#activity.sent(frame.length, ofActivity);
      return this.#closed || peer.send(frame);
    });
    this.#context = new Context(
      gpu,
      this.#objects,
      replies,
      activity,
      (promise) => this.#pauseUntil(promise),
      free,
      profiles,
      limits && this.#guards(limits),
    );
    const held = new HeldCommands<PreparedCommand>({
      store,
      ask: (name) => replies.missing(name),
      carrier: {
        execute: (command, operands, payloads, made) => this.#execute(command, operands, payloads, made),
        release: (first, count) => this.#release(first, count),
      },
    });
    this.#held = held;
    this.#commands = new CommandDecoder<PreparedCommand>({
      prepare: (shape, once) => new PreparedCommand(shape, !once),
      creates: ({ operation }) => operation.creates !== undefined,
      execute: (command, operands, payloads, made) => held.execute(command, operands, payloads, made),
      release: (first, count) => held.release(first, count),
      store: (name, bytes) => held.store(name, bytes),
      supply: (name, bytes) => held.supply(name, bytes),
    });
    this.#context.begin();
  }

  get work(): Work {
    return {
      ...this.#context.work,
      commands: this.#executed,
      asNames: this.#commands.repeated,
      contentsNamed: this.#held.contentsFound,
      bytesNotSent: this.#held.bytesFound,
      waits: this.#nextSerial - 1,
      gpuBytes: this.#context.memory?.used ?? 0,
    };
  }

  receive(frame: Uint8Array): boolean {
    if (this.#closed) return false;
    const { written } = this.#context.uploads;
    const executed = this.#executed;
    const kept = this.#held.kept;
    this.#heed(() => {
      const batch = this.#assembler.push(frame);
      if (!batch) {
        this.#activity.part();
        return;
      }
      this.#held.begin(batch.length);
      this.#activity.batch(batch.length, () => this.#commands.run(batch));
    });
    // A single write, of bytes that nobody waits for or keeps.
    const isWrite = this.#executed === executed + 1 && this.#context.uploads.written === written + 1;
    return isWrite && this.#held.kept === kept;
  }

  #guards({ gpuMs, asksForMemory, takesTurns }: SessionLimits): Guards {
    const ask: SessionPeer['ask'] = (report) => this.#closed || this.#peer.ask?.(report);
    const now = () => performance.now();
    const soon = (act: () => void) => void setImmediate(act);
    return {
      watchdog: gpuMs > 0 ? this.#guard(gpuMs) : undefined,
      memory: asksForMemory ? new GpuMemory(0, { ask }) : new MemoryCount(),
      turn: takesTurns ? new GpuTurn({ tell: ask, now, soon }) : undefined,
    };
  }

  share(command: ShareCommand): void {
    if (this.#closed) return;
    const { memory, turn } = this.#context;
    if (command.type === 'memory') memory?.granted(command);
    else if (command.type === 'spare') memory?.spare();
    else if (command.type === 'turn') turn?.granted(command.ms);
    else turn?.yield();
  }

  /**
   * The GPU does not come back from what the session gave it. Its devices are left as they are, since destroying
   * one waits for its work: that ends with this process alone.
   */
  #guard(limitMs: number): GpuWatchdog {
    const onStuck = () => {
      if (this.#closed) return;
      this.#closed = true;
      this.#held.clear();
      this.#peer.end('EXECUTOR_LOST', stuckSentence(limitMs));
    };
    return new GpuWatchdog({ limitMs, clock: CLOCK, onStuck });
  }

  drained(): void {
    this.#context.replies.drained();
  }

  /** Does what the client sent, which may turn out to break the protocol. */
  #heed(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close();
      this.#peer.end('PROTOCOL_ERROR', brokeProtocol('client', error));
    }
  }

  /** What comes after the command that is being carried out waits here, and what comes after that at the peer. */
  #pauseUntil(promise: Promise<unknown>): void {
    this.#held.pause();
    this.#peer.hold?.(true);
    const resume = () => {
      if (this.#closed) return;
      this.#heed(() => this.#held.resume());
      if (!this.#held.paused) this.#peer.hold?.(false);
    };
    promise.then(resume, resume);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.end();
    this.#context.saveProfiles();
    this.#held.clear();
    for (const { object } of this.#objects.all('GPUDevice')) (object as GPUDevice | undefined)?.destroy();
  }

  async retire(): Promise<OpenDevice[]> {
    if (this.#closed) return [];
    this.#closed = true;
    this.#context.end();
    this.#held.clear();
    for (const kind of ['GPUBuffer', 'GPUTexture', 'GPUQuerySet']) {
      for (const { object } of this.#objects.all(kind)) (object as GPUBuffer | undefined)?.destroy();
    }
    const devices = await this.#context.freeDevices();
    // What the program had dropped without destroying it is freed by the collector alone.
    this.#context.garbage.collect();
    return devices;
  }

  /** Carries out one command; `id` is that of the object it creates, if it does. */
  #execute(
    command: PreparedCommand,
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
        : this.#objects.reserve(id, operation.creates, deviceOf(self));
    if (operation.fate === 'awaited') this.#request(command, self, made, this.#nextSerial++);
    else this.#command(command, self, made);
    this.#context.memory?.keepParts(self, command.objects, made);
    command.clear();
  }

  #release(first: number, count: number): void {
    for (let id = first; id < first + count; id += 1) {
      const { kind, object, device } = this.#objects.release(id);
      if (object && device) this.#context.opened(device).shared.released(object);
      if (kind === 'GPUBuffer' || kind === 'GPUTexture') {
        this.#context.garbage.released(object as GPUBuffer | GPUTexture);
        this.#context.memory?.released(object as GPUBuffer | GPUTexture);
      }
    }
  }

  #standIn(kinds: readonly string[]): object {
    const device = deviceOf(this.#reading);
    if (!device) throw new ProtocolError('an object of another session where there is no device');
    return this.#context.standIn(device, kinds);
  }

  #receiver([id]: readonly number[], operation: AnyOperation): Entry {
    if (id === undefined) throw new ProtocolError('a command without a receiver');
    if (!OF_SESSION.has(operation.interface)) {
      return this.#objects.receiver(id, operation.interface);
    }
    if (id !== ROOT_ID)
      throw new ProtocolError(`${operation.interface}.${operation.member} on the object ${id}`);
    return ROOT;
  }

  #command(command: PreparedCommand, self: Entry, made: Entry | undefined): void {
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
  #make(command: PreparedCommand, self: Entry, made: Entry | undefined): unknown {
    return command.sharing
      ? createShared(this.#context, self, command, () => this.#call(command, self, made) as object)
      : this.#call(command, self, made);
  }

  #request(command: PreparedCommand, self: Entry, made: Entry | undefined, serial: number): void {
    const { operation } = command;
    const { replies } = this.#context;
    const answered = this.#activity.awaited(command, self.object, serial);
    const rejected = (error: unknown) => {
      if (made && !made.object) this.#objects.release(made.id);
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
  #await(command: PreparedCommand, self: Entry, made: Entry | undefined): Awaited {
    const call = () => {
      const result = this.#call(command, self, made);
      return result instanceof Promise ? { promise: result } : (result as Awaited);
    };
    return made && command.sharing ? createSharedAsync(this.#context, self, command, made, call) : call();
  }

  #call(command: PreparedCommand, self: Entry, made: Entry | undefined): unknown {
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
