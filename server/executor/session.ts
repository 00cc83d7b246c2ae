import { monotonicNow, setImmediate } from '../../link/machine/clock.js';
import { brokeProtocol, ProtocolError } from '../../proto/errors.js';
import type { SessionLimits } from '../../proto/handshake.js';
import type { ShareCommand } from '../../proto/shares.js';
import { BatchAssembler } from '../../proto/wire/batch.js';
import type { Work } from '../../proto/work.js';
import type { ContentStore } from '../contents/content-store.js';
import type { WriteSchedule } from '../contents/write-schedule.js';
import type { GpuPolls } from '../gpu/dawn-polls.js';
import { CommandRunner } from './command-runner.js';
import { Context, type Guards, type Profiles } from './handlers/context.js';
import { GpuMemory } from './limits/gpu-memory.js';
import { GpuTurn } from './limits/gpu-turn.js';
import { CLOCK, GpuWatchdog, stuckSentence } from './limits/gpu-watchdog.js';
import { MemoryCount } from './limits/memory-count.js';
import { ObjectTable } from './objects/object-table.js';
import type { OpenDevice } from './reuse/open-device.js';
import { SessionActivity } from './trace/session-tracer.js';
import { ACTIVITY_CLOCK, Activity } from './trace/tracer.js';
import { CommandDecoder } from './wire/command-decoder.js';
import { DecodedCommand } from './wire/decoded-command.js';
import type { SessionEndpoint, SessionPeer } from './wire/endpoint.js';
import { HeldCommands } from './wire/held-commands.js';
import { ReplyWriter } from './wire/reply-writer.js';

/** What sessions of the same program have left. */
export interface SessionLegacy {
  /** Devices, which the new session owns. */
  free?: OpenDevice[] | undefined;
  /** What was compiled on devices that are gone. */
  profiles?: Profiles | undefined;
  /** The contents that the client may name, of all programs of its tenant. Absent where it may name none. */
  store?: ContentStore | undefined;
  /** When what is stored is written, which depends on what the session does. */
  writes?: WriteSchedule | undefined;
  /** What the session may take of the GPU. Absent where it may take all. */
  limits?: SessionLimits | undefined;
  /** Tells what this process does. Absent where nobody outside of the session wants to know. */
  activity?: Activity | undefined;
  /** When the GPU is asked whether it is done, which depends on what the session does. */
  polls?: GpuPolls | undefined;
}

/**
 * One program's WebGPU session on this side: decodes its commands, in order, and has them carried out, as far as
 * its limits and the contents that it names let them.
 *
 * States: *open*; *closed* (the peer is gone, or broke the protocol: its devices are destroyed, and
 * frames that still come are dropped).
 */
export class ExecutorSession implements SessionEndpoint<OpenDevice[]> {
  readonly #peer: SessionPeer;
  readonly #objects = new ObjectTable((kinds) => this.#runner.standIn(kinds));
  readonly #assembler = new BatchAssembler();
  readonly #context: Context;
  readonly #runner: CommandRunner;
  readonly #commands: CommandDecoder<DecodedCommand>;
  readonly #held: HeldCommands<DecodedCommand>;
  readonly #activity: SessionActivity;
  readonly #writes: WriteSchedule | undefined;
  readonly #polls: GpuPolls | undefined;
  #closed = false;

  /** `gpu` is the implementation that is driven; the session never closes it. */
  constructor(gpu: GPU, peer: SessionPeer, legacy: SessionLegacy = {}) {
    const { free, profiles, store, writes, limits, polls } = legacy;
    const { activity = new Activity({ clock: ACTIVITY_CLOCK }) } = legacy;
    this.#peer = peer;
    this.#writes = writes;
    this.#polls = polls;
    this.#activity = new SessionActivity(activity);
    const replies = new ReplyWriter((frame, ofActivity) => {
      polls?.stirred();
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
    this.#runner = new CommandRunner(this.#context, this.#activity);
    const held = new HeldCommands<DecodedCommand>({
      store,
      ask: (name) => replies.missing(name),
      carrier: this.#runner,
    });
    this.#held = held;
    this.#commands = new CommandDecoder<DecodedCommand>({
      decode: (shape, once) => new DecodedCommand(shape, !once),
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
      commands: this.#runner.executed,
      asNames: this.#commands.repeated,
      contentsNamed: this.#held.contentsFound,
      bytesNotSent: this.#held.bytesFound,
      waits: this.#runner.awaited,
      gpuBytes: this.#context.memory?.used ?? 0,
    };
  }

  receive(frame: Uint8Array): boolean {
    if (this.#closed) return false;
    this.#polls?.stirred();
    const { written } = this.#context.uploads;
    const { executed } = this.#runner;
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
    this.#writes?.worked();
    // A single write, of bytes that nobody waits for or keeps.
    const isWrite = this.#runner.executed === executed + 1 && this.#context.uploads.written === written + 1;
    return isWrite && this.#held.kept === kept;
  }

  share(command: ShareCommand): void {
    if (this.#closed) return;
    const { memory, turn } = this.#context;
    if (command.type === 'memory') memory?.granted(command);
    else if (command.type === 'spare') memory?.spare();
    else if (command.type === 'turn') turn?.granted(command.ms);
    else turn?.yield();
  }

  drained(): void {
    this.#context.replies.drained();
  }

  #guards({ gpuMs, asksForMemory, takesTurns }: SessionLimits): Guards {
    const ask: SessionPeer['ask'] = (report) => this.#closed || this.#peer.ask?.(report);
    const soon = (act: () => void) => void setImmediate(act);
    return {
      watchdog: gpuMs > 0 ? this.#guard(gpuMs) : undefined,
      memory: asksForMemory ? new GpuMemory(0, { ask }) : new MemoryCount(),
      turn: takesTurns ? new GpuTurn({ tell: ask, now: monotonicNow, soon }) : undefined,
    };
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
    this.#writes?.rested();
    this.#context.end();
    this.#context.saveProfiles();
    this.#held.clear();
    this.#context.destroyDevices();
  }

  async retire(): Promise<OpenDevice[]> {
    if (this.#closed) return [];
    this.#closed = true;
    this.#writes?.rested();
    this.#context.end();
    this.#held.clear();
    this.#context.destroyResources();
    const devices = await this.#context.freeDevices();
    // What the program had dropped without destroying it is freed by the collector alone.
    this.#context.garbage.collect();
    return devices;
  }
}
