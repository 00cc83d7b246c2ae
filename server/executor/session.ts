import type { Socket } from 'node:net';
import { monotonicNow, setImmediate } from '../../link/machine/clock.js';
import { PROCESS_CLOCK } from '../../link/machine/timer.js';
import { brokeProtocol, invariant, ProtocolError } from '../../proto/errors.js';
import type { ParkTarget, SessionLimits } from '../../proto/session/executor-messages.js';
import type { LineCommand, LineReport } from '../../proto/session/lines.js';
import type { WorkCounts } from '../../proto/session/session-counts.js';
import type { ShareCommand, ShareReport } from '../../proto/session/shares.js';
import { FlushAssembler } from '../../proto/wire/flush.js';
import type { ContentStore } from '../contents/content-store.js';
import type { WriteSchedule } from '../contents/write-schedule.js';
import type { GpuPolls } from '../gpu/dawn-polls.js';
import { CommandRunner } from './command-runner.js';
import { Context, type Guards } from './handlers/context.js';
import { GpuMemory } from './limits/gpu-memory.js';
import { GpuTurn } from './limits/gpu-turn.js';
import { GpuWatchdog, stuckSentence } from './limits/gpu-watchdog.js';
import { MemoryReports } from './limits/memory-reports.js';
import { Lines } from './lines/lines.js';
import { parkable } from './live/parkable.js';
import { ObjectTable } from './objects/object-table.js';
import { parkSession } from './park/park.js';
import type { SessionParts } from './park/session-state.js';
import { unparkSession } from './park/unpark.js';
import type { OpenDevice } from './reuse/open-device.js';
import { type Profiles, SessionDevices } from './reuse/session-devices.js';
import { SessionTracer } from './trace/session-tracer.js';
import { TRACE_CLOCK, Tracer } from './trace/tracer.js';
import { CommandDecoder } from './wire/command-decoder.js';
import { DecodedCommand } from './wire/decoded-command.js';
import { type SessionEndpoint, type SessionPeer, Unparkable } from './wire/endpoint.js';
import { HeldCommands } from './wire/held-commands.js';
import { ReplyWriter } from './wire/reply-writer.js';

/** The things that a session shares with its process, or gets from earlier sessions of its program. */
export interface SessionSurroundings {
  /** Free devices of earlier sessions, which the new session owns. */
  free?: OpenDevice[] | undefined;
  /** The program's profiles of devices that are gone. */
  profiles?: Profiles | undefined;
  /** The contents of the tenant's programs, which the client may name. Absent where it may name none. */
  store?: ContentStore | undefined;
  /** When contents are written. It depends on what the session does. */
  writes?: WriteSchedule | undefined;
  /** The session's share of the GPU. Absent where it may take everything. */
  limits?: SessionLimits | undefined;
  /** Tells of what this process does. Absent where nobody outside the session wants to know. */
  tracer?: Tracer | undefined;
  /** When Dawn is polled. It depends on what the session does. */
  polls?: GpuPolls | undefined;
  /** Whether the session may have lines to other hosts. */
  hasLines?: boolean | undefined;
  /** Whether the session notes what it needs to be parked. */
  parks?: boolean | undefined;
  /** Whether the session was parked, and `unpark` will bring it back. */
  wasParked?: boolean | undefined;
  /** Finds how many bytes of memory the GPU has for sessions, where `limits` does not say. */
  findCapacity?: (() => Promise<number | undefined>) | undefined;
}

/**
 * The host's part of one program's session. It decodes the program's commands and has them carried out in order, within
 * the session's limits, and when the contents that they name are there.
 *
 * States: *open*; *ended* (the peer is gone, or broke the protocol). Then its devices are destroyed, and frames that
 * still come are dropped.
 */
export class ExecutorSession implements SessionEndpoint<OpenDevice[]> {
  readonly #peer: SessionPeer;
  readonly #objects = new ObjectTable((kinds) => this.#runner.invalidObject(kinds));
  readonly #assembler = new FlushAssembler();
  readonly #context: Context;
  readonly #devices: SessionDevices;
  readonly #runner: CommandRunner;
  readonly #commands: CommandDecoder<DecodedCommand>;
  readonly #held: HeldCommands<DecodedCommand>;
  readonly #tracer: SessionTracer;
  readonly #writes: WriteSchedule | undefined;
  readonly #polls: GpuPolls | undefined;
  readonly #ask = (report: ShareReport | LineReport): void => {
    if (!this.#ended) this.#peer.ask?.(report);
  };
  #ended = false;

  /** `gpu` is the implementation. The session never closes it. */
  constructor(gpu: GPU, peer: SessionPeer, surroundings: SessionSurroundings = {}) {
    const { free, profiles, store, writes, limits, polls, hasLines, parks, wasParked } = surroundings;
    const { tracer = new Tracer({ clock: TRACE_CLOCK }) } = surroundings;
    this.#peer = peer;
    this.#writes = writes;
    this.#polls = polls;
    this.#tracer = new SessionTracer(tracer);
    const replies = new ReplyWriter((frame, onlySpans) => {
      polls?.stirred();
      this.#tracer.sent(frame.length, onlySpans);
      return this.#ended || peer.send(frame);
    });
    this.#devices = new SessionDevices({ replies, free, profiles });
    this.#context = new Context({
      gpu,
      objects: this.#objects,
      devices: this.#devices,
      replies,
      tracer,
      lines: new Lines(hasLines ? this.#ask : undefined),
      parkable: parks ? parkable(this.#objects) : undefined,
      pauseUntil: (promise) => this.#pauseUntil(promise),
      ...this.#memory(replies, surroundings),
      ...(limits && this.#guards(limits)),
    });
    this.#runner = new CommandRunner(this.#context, this.#tracer);
    const held = new HeldCommands<DecodedCommand>({
      store,
      ask: (name) => replies.missing(name),
      runner: this.#runner,
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
    // Its client has been told.
    if (!wasParked) this.#devices.begin();
  }

  get work(): WorkCounts {
    return {
      ...this.#context.work,
      commands: this.#runner.executed,
      asNames: this.#commands.repeated,
      contentsNamed: this.#held.contentsFound,
      bytesNotSent: this.#held.bytesFound,
      waits: this.#runner.awaited,
      gpuBytes: this.#context.memory.ledger.used,
      gpuReserved: this.#context.memory.ledger.reserved,
      bytesToHosts: this.#context.lines.sent,
      bytesFromHosts: this.#context.lines.received,
    };
  }

  receive(frame: Uint8Array): boolean {
    if (this.#ended) return false;
    this.#polls?.stirred();
    const { written } = this.#context.uploads;
    const { executed } = this.#runner;
    const { kept } = this.#held;
    this.#endOnFault(() => {
      const flush = this.#assembler.push(frame);
      if (!flush) {
        this.#tracer.part();
        return;
      }
      this.#held.begin(flush.length);
      this.#tracer.flush(flush.length, () => this.#commands.run(flush));
    });
    this.#writes?.worked();
    // A single write whose bytes nobody waits for or keeps: the frame's memory can be used again.
    const isWrite = this.#runner.executed === executed + 1 && this.#context.uploads.written === written + 1;
    return isWrite && this.#held.kept === kept;
  }

  share(command: ShareCommand): void {
    if (this.#ended) return;
    const { memory, memoryReports, turn } = this.#context;
    if (command.type === 'memory') memory.granted(command);
    else if (command.type === 'reclaim') this.#giveBack();
    else if (command.type === 'tenantMemory') memoryReports.told(command);
    else if (command.type === 'turn') turn?.granted(command.ms);
    else turn?.yield();
  }

  line(command: LineCommand, socket: Socket | undefined): void {
    if (this.#ended) socket?.destroy();
    else this.#context.lines.told(command, socket);
  }

  /** Gives back unused memory, a turn later: a create may use a grant that came just now. */
  #giveBack(): void {
    setImmediate(() => {
      if (!this.#ended) this.#context.memory.giveBack();
    });
  }

  drained(): void {
    this.#context.replies.drained();
  }

  close(): void {
    if (this.#ended) return;
    this.#end();
    this.#devices.saveProfiles();
    this.#devices.destroy();
  }

  async handOver(): Promise<OpenDevice[]> {
    if (this.#ended) return [];
    this.#end();
    this.#context.destroyResources();
    const devices = await this.#devices.free();
    // Only the collector frees the objects that the program dropped without destroying them.
    this.#context.garbage.collect();
    return devices;
  }

  /**
   * Stores the session in a file. It goes on as it was, but must get no frame meanwhile. Resolves to the file's bytes.
   *
   * @throws Unparkable (rejects) with the reason. Then there is no file.
   */
  async park(target: ParkTarget, isAtWork: () => boolean): Promise<number> {
    const parts = this.#parts;
    if (!parts) throw new Unparkable('it keeps no notes of its objects');
    const { frames } = this.#tracer.counts;
    this.#polls?.stirred();
    const bytes = await parkSession(
      parts,
      target,
      // A reply is an error or a loss that nobody has asked for.
      () => this.#ended || isAtWork() || this.#tracer.counts.frames !== frames,
    );
    this.#writes?.rested();
    this.#devices.saveProfiles();
    return bytes;
  }

  /** Brings the session back from its file, before its first command. @throws Error (rejects) with the reason. */
  async unpark(path: string, key: Uint8Array): Promise<void> {
    const parts = this.#parts;
    invariant(parts, 'a session that was parked notes its objects');
    this.#polls?.stirred();
    await unparkSession(parts, path, key);
  }

  get #parts(): SessionParts | undefined {
    if (!this.#context.parkable) return undefined;
    return {
      context: this.#context as SessionParts['context'],
      runner: this.#runner,
      decoder: this.#commands,
      held: this.#held,
      assembler: this.#assembler,
      tracer: this.#tracer,
    };
  }

  #end(): void {
    this.#ended = true;
    this.#writes?.rested();
    this.#context.end();
    this.#held.clear();
  }

  /** The session's GPU memory, which it asks the daemon for where there is one. */
  #memory(replies: ReplyWriter, { limits, findCapacity }: SessionSurroundings) {
    const ask = limits && this.#ask;
    const memory: GpuMemory = new GpuMemory({
      grant: limits?.memory,
      untilCollected: limits?.memoryUntilCollected,
      ask,
      onChange: () => memoryReports.changed(),
    });
    const memoryReports: MemoryReports = new MemoryReports({
      memory,
      ask,
      find: findCapacity ?? (async () => undefined),
      send: (state) => replies.memory(state),
      clock: PROCESS_CLOCK,
    });
    return { memory, memoryReports };
  }

  #guards({ gpuMs, takesTurns }: SessionLimits): Guards {
    const soon = (act: () => void) => void setImmediate(act);
    return {
      watchdog: gpuMs > 0 ? this.#watchdog(gpuMs) : undefined,
      turn: takesTurns ? new GpuTurn({ tell: this.#ask, now: monotonicNow, soon }) : undefined,
    };
  }

  /**
   * Ends the session where the GPU does not finish its work. Its devices stay: to destroy one waits for the same work.
   * They end with this process.
   */
  #watchdog(limitMs: number): GpuWatchdog {
    const onStuck = () => {
      if (this.#ended) return;
      this.#ended = true;
      this.#held.clear();
      this.#peer.end('EXECUTOR_LOST', stuckSentence(limitMs));
    };
    return new GpuWatchdog({ limitMs, clock: PROCESS_CLOCK, onStuck });
  }

  /** Runs `act`. Where that finds a fault of the client, ends the session. */
  #endOnFault(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close();
      this.#peer.end('PROTOCOL_ERROR', brokeProtocol('client', error));
    }
  }

  /** Holds the commands that come next, until the promise settles. Frames that come next wait at the peer. */
  #pauseUntil(promise: Promise<unknown>): void {
    this.#held.pause();
    this.#peer.pause?.(true);
    const resume = () => {
      if (this.#ended) return;
      this.#endOnFault(() => this.#held.resume());
      if (!this.#held.paused) this.#peer.pause?.(false);
    };
    promise.then(resume, resume);
  }
}
