import { messageOf, ProtocolError } from '../../../proto/errors.js';
import type { FarlightErrorType } from '../../../proto/gen/operations.js';
import { noWork, type WorkCounts } from '../../../proto/session/session-counts.js';
import { SPAN } from '../../../proto/session/spans.js';
import { GarbageMeter } from '../limits/garbage.js';
import type { GpuMemory } from '../limits/gpu-memory.js';
import type { GpuTurn } from '../limits/gpu-turn.js';
import type { GpuWatchdog } from '../limits/gpu-watchdog.js';
import type { MemoryReports } from '../limits/memory-reports.js';
import { Uploads } from '../limits/uploads.js';
import type { Lines } from '../lines/lines.js';
import type { Parkable } from '../live/parkable.js';
import type { Entry, ObjectTable } from '../objects/object-table.js';
import type { SessionDevices } from '../reuse/session-devices.js';
import type { Tracer } from '../trace/tracer.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { ReplyWriter } from '../wire/reply-writer.js';

/** The interfaces whose objects take GPU memory and can be destroyed. */
const RESOURCES = ['GPUBuffer', 'GPUTexture', 'GPUQuerySet'];

/** Enforces the limits of a session. An absent member is not limited. */
export interface Guards {
  watchdog?: GpuWatchdog | undefined;
  turn?: GpuTurn | undefined;
}

export interface ContextOptions extends Guards {
  gpu: GPU;
  objects: ObjectTable;
  devices: SessionDevices;
  replies: ReplyWriter;
  tracer: Tracer;
  memory: GpuMemory;
  memoryReports: MemoryReports;
  lines: Lines;
  /** Absent where the session is never parked. */
  parkable?: Parkable | undefined;
  /** Makes the commands that come next wait until the promise settles. */
  pauseUntil(promise: Promise<unknown>): void;
}

/** The part of a session that its handlers share. It knows nothing of commands, of handlers or of the connection. */
export class Context {
  readonly gpu: GPU;
  readonly objects: ObjectTable;
  readonly devices: SessionDevices;
  readonly replies: ReplyWriter;
  readonly tracer: Tracer;
  readonly watchdog: GpuWatchdog | undefined;
  readonly memory: GpuMemory;
  readonly memoryReports: MemoryReports;
  readonly lines: Lines;
  readonly turn: GpuTurn | undefined;
  readonly parkable: Parkable | undefined;
  readonly pauseUntil: (promise: Promise<unknown>) => void;
  readonly uploads: Uploads;
  readonly garbage = new GarbageMeter();
  /** Counts what the session has done, where nothing else counts it. */
  readonly work: WorkCounts = noWork();
  #ended = false;
  #watched = 0;
  #stopWatching: (() => void) | undefined;

  constructor(options: ContextOptions) {
    this.gpu = options.gpu;
    this.objects = options.objects;
    this.devices = options.devices;
    this.replies = options.replies;
    this.tracer = options.tracer;
    this.watchdog = options.watchdog;
    this.memory = options.memory;
    this.memoryReports = options.memoryReports;
    this.lines = options.lines;
    this.turn = options.turn;
    this.parkable = options.parkable;
    this.pauseUntil = options.pauseUntil;
    this.uploads = new Uploads({ pauseUntil: options.pauseUntil });
  }

  /** The session has ended: drops the commands that wait. */
  end(): void {
    this.#ended = true;
    this.watch(0);
    this.devices.end();
    this.watchdog?.stop();
    this.turn?.stop();
    this.memoryReports.stop();
    this.lines.end();
  }

  /** The kinds of spans that the client wants to hear of, as a mask. */
  get watched(): number {
    return this.#watched;
  }

  /** From now on tells the client of spans of these kinds, and of no others. */
  watch(kinds: number): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#watched = kinds;
    if (kinds === 0) return;
    this.#stopWatching = this.tracer.watch((spans) => {
      this.replies.spans(spans);
      // A client that waits for the compiler wants to know it now, and not at the end of the flush.
      if (spans.some(({ kind }) => kind === SPAN.compiled)) this.replies.leaveNow();
    }, kinds);
  }

  /** A queue has new work of the session. The next commands may have to wait until that is done. */
  submitted(queue: GPUQueue): void {
    this.watchdog?.submitted(queue);
    this.tracer.submitted(queue);
    const done = this.turn?.submitted(queue);
    if (done) this.pauseUntil(done);
  }

  /** Runs `act` on a device when the promise resolves. The commands that come next wait for it. */
  later(device: Entry, promise: Promise<unknown>, act: () => void): void {
    const acted = promise.then(() => {
      if (!this.#ended) this.attempt(device, act);
    });
    this.pauseUntil(acted);
  }

  /**
   * Runs `act`, and turns an exception of the implementation into an error of the device. The client has made every
   * check that throws before it sends a command, so the specification has an error of the device here.
   */
  attempt(device: Entry, act: () => void): void {
    try {
      act();
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      const type = error instanceof RangeError ? 'out-of-memory' : 'validation';
      this.raise(device, type, messageOf(error));
    }
  }

  /** Raises an error of our own on a device, in the scope that is open for its type. */
  raise(device: Entry, type: FarlightErrorType, message: string): void {
    const { scopes } = this.devices.of(device);
    if (!scopes.catch({ type, message })) this.replies.uncaptured(device.id, { type, message });
  }

  /** An invalid object of one of these kinds, on this device. */
  invalidObject(device: Entry, kinds: readonly string[]): object {
    return this.devices.of(device).invalid.get(kinds);
  }

  /** Destroys a buffer, texture or query set, and takes back its memory. */
  destroy(resource: object): void {
    (resource as GPUBuffer).destroy();
    this.garbage.destroyed(resource as GPUBuffer);
    this.memory.destroyed(resource);
  }

  /** Destroys the resources that the client has handles of: all, or only one device's. */
  destroyResources(of?: Entry): void {
    for (const kind of RESOURCES) {
      for (const { object, device } of this.objects.all(kind)) {
        if (object && (!of || device === of)) this.destroy(object);
      }
    }
  }

  /** The client has released a device, and with it everything that it has of the device. */
  releaseDevice(entry: Entry): void {
    if (!this.devices.has(entry)) return;
    this.destroyResources(entry);
    this.devices.release(entry, ({ device }) => this.turn?.forget(device.queue));
  }
}

/**
 * Carries out a command. `args` are the arguments as the operation reads them. `made` is the entry whose object the
 * command creates, if it creates one. For an awaited operation it returns a PendingReply.
 */
export type Handler = (
  context: Context,
  self: Entry,
  args: never,
  made: Entry | undefined,
  command: DecodedCommand,
) => unknown;
