import { SPAN } from '../../../proto/activity.js';
import { messageOf, ProtocolError } from '../../../proto/errors.js';
import type { FarlightErrorType } from '../../../proto/gen/operations.js';
import { noWork, type Work } from '../../../proto/work.js';
import type { ProfileStep } from '../../profiles/profile.js';
import { GarbageMeter } from '../limits/garbage.js';
import type { GpuTurn } from '../limits/gpu-turn.js';
import type { GpuWatchdog } from '../limits/gpu-watchdog.js';
import type { SessionMemory } from '../limits/memory-count.js';
import { Uploads } from '../limits/uploads.js';
import type { ErrorScopes } from '../objects/error-scopes.js';
import type { Entry, ObjectTable } from '../objects/object-table.js';
import { compileAhead } from '../reuse/compile-ahead.js';
import type { DeviceRequest } from '../reuse/device-request.js';
import { OpenDevice } from '../reuse/open-device.js';
import type { Activity } from '../trace/tracer.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { ReplyWriter } from '../wire/reply-writer.js';

/** What a program compiled on its devices, by how it had asked for those. */
export interface Profiles {
  read(request: DeviceRequest): readonly ProfileStep[];
  write(request: DeviceRequest, steps: readonly ProfileStep[]): void;
}

/** Devices that wait for the program to ask for one again, at most, once it has given up others. */
const MOST_FREE = 4;

/** The interfaces whose objects have memory of the GPU's, and are destroyed. */
const RESOURCES = ['GPUBuffer', 'GPUTexture', 'GPUQuerySet'];

/** What holds a session to its limits. */
export interface Guards {
  watchdog?: GpuWatchdog | undefined;
  memory?: SessionMemory | undefined;
  turn?: GpuTurn | undefined;
}

/** What the handlers of a session's commands share. */
export class Context {
  readonly gpu: GPU;
  readonly objects: ObjectTable;
  readonly replies: ReplyWriter;
  readonly activity: Activity;
  /** What the session has had done, as far as it is not counted elsewhere. */
  readonly work: Work = noWork();
  /** The command that is being carried out. */
  command: DecodedCommand | undefined;
  readonly garbage = new GarbageMeter();
  readonly uploads: Uploads;
  /** What holds the session to its limits; absent where it has none. */
  readonly watchdog: GpuWatchdog | undefined;
  readonly memory: SessionMemory | undefined;
  readonly turn: GpuTurn | undefined;
  /** Has the commands that come next wait until the promise is settled. */
  readonly pauseUntil: (promise: Promise<unknown>) => void;
  /** Devices of earlier sessions that this one may have. */
  readonly #free: OpenDevice[];
  readonly #profiles: Profiles | undefined;
  readonly #devices = new Map<Entry, OpenDevice>();
  /** Devices that the client has given up, until the GPU is done with them. */
  readonly #freeing = new Map<OpenDevice, Promise<void>>();
  #ended = false;
  #untell: (() => void) | undefined;

  constructor(
    gpu: GPU,
    objects: ObjectTable,
    replies: ReplyWriter,
    activity: Activity,
    pauseUntil: (promise: Promise<unknown>) => void,
    free: OpenDevice[] = [],
    profiles?: Profiles,
    guards: Guards = {},
  ) {
    this.gpu = gpu;
    this.objects = objects;
    this.replies = replies;
    this.activity = activity;
    this.pauseUntil = pauseUntil;
    this.uploads = new Uploads({ pauseUntil });
    this.#free = free;
    this.#profiles = profiles;
    this.watchdog = guards.watchdog;
    this.memory = guards.memory;
    this.turn = guards.turn;
  }

  /** The session is over: a device that comes still is nobody's, and what waits is not done. */
  end(): void {
    this.#ended = true;
    this.tellOf(0);
    this.watchdog?.stop();
    this.turn?.stop();
  }

  /** Tells the client of spans of these kinds from now on, and of no others. */
  tellOf(kinds: number): void {
    this.#untell?.();
    this.#untell = undefined;
    if (kinds === 0) return;
    this.#untell = this.activity.watch((spans) => {
      this.replies.activity(spans);
      // Who waits for a compiler wants to know meanwhile, and not when the batch is through.
      if (spans.some(({ kind }) => kind === SPAN.compiled)) this.replies.leaveNow();
    }, kinds);
  }

  /** Has `act` done on a device when the promise is resolved, and after that what comes next. */
  later(device: Entry, promise: Promise<unknown>, act: () => void): void {
    const acted = promise.then(() => {
      if (!this.#ended) this.attempt(device, act);
    });
    this.pauseUntil(acted);
  }

  /** Begins to tell the client of a device's errors and of its end. */
  adoptDevice(entry: Entry, opened: OpenDevice): void {
    if (this.#ended) {
      opened.device.destroy();
      return;
    }
    entry.object = opened.device;
    this.#devices.set(entry, opened);
    opened.own({
      uncaptured: (error) => this.replies.uncaptured(entry.id, error),
      lost: (reason, message) => this.replies.lost(entry.id, reason, message),
    });
  }

  /** A new device: what the program compiled on such a one before is compiled while it does other things. */
  openDevice(device: GPUDevice, request: DeviceRequest): OpenDevice {
    const opened = new OpenDevice(device, request);
    const steps = this.#profiles?.read(request) ?? [];
    if (steps.length > 0) {
      compileAhead(opened, steps);
      this.#tellOfPipelines(opened);
    }
    return opened;
  }

  /** Tells the client what is there for it. */
  begin(): void {
    for (const opened of this.#free) if (opened.reusable) this.#tellOfPipelines(opened);
  }

  #tellOfPipelines(opened: OpenDevice): void {
    const tell = () => this.replies.held(opened.heldPipelines());
    if (opened.compiling) void opened.compiling.then(tell);
    else tell();
  }

  /** A free device that was asked for in the same way, which the caller adopts. */
  takeDevice({ key }: DeviceRequest): OpenDevice | undefined {
    const at = this.#free.findIndex((free) => free.reusable && free.request.key === key);
    return at < 0 ? undefined : this.#free.splice(at, 1)[0];
  }

  /** A handle of an object is gone; that of its device may be already, and then nothing is kept of it. */
  released(device: Entry, object: object): void {
    this.#devices.get(device)?.shared.released(object);
  }

  /** Destroys the buffers, textures and query sets that the client has handles of: all, or those of a device. */
  destroyResources(of?: Entry): void {
    for (const kind of RESOURCES) {
      for (const { object, device } of this.objects.all(kind)) {
        if (!object || (of && device !== of)) continue;
        (object as GPUBuffer).destroy();
        this.garbage.destroyed(object as GPUBuffer);
        this.memory?.destroyed(object);
      }
    }
  }

  /** The client has given up a device, and so all that it has of it: it may have that again, where it asks for one like it. */
  releaseDevice(entry: Entry): void {
    const opened = this.#devices.get(entry);
    if (!opened) return;
    this.destroyResources(entry);
    this.#devices.delete(entry);
    this.saveProfiles([opened]);
    const freed = () => {
      this.#freeing.delete(opened);
      this.turn?.forget(opened.device.queue);
      if (opened.reusable) this.#free.push(opened);
      const surplus = this.#free.length > MOST_FREE ? this.#free.shift() : undefined;
      (opened.reusable ? surplus : opened)?.device.destroy();
    };
    this.#freeing.set(opened, opened.free().then(freed, freed));
  }

  /** Ends the session's devices, and those that it has given up and that are not free yet. */
  destroyDevices(): void {
    for (const { device } of [...this.#devices.values(), ...this.#freeing.keys()]) device.destroy();
  }

  /** The session is over: the devices that another may have, once the GPU is done with them. */
  async freeDevices(): Promise<OpenDevice[]> {
    await Promise.all(this.#freeing.values());
    const owned = [...this.#devices.values()];
    this.#devices.clear();
    this.saveProfiles(owned);
    await Promise.all(owned.map((opened) => opened.free()));
    return [...this.#free, ...owned].filter((opened) => {
      if (!opened.reusable) opened.device.destroy();
      return opened.reusable;
    });
  }

  /** Writes down what was compiled, for a device that is yet to be made. */
  saveProfiles(devices: Iterable<OpenDevice> = this.#devices.values()): void {
    for (const { reusable, shared, request } of devices) {
      const steps = reusable ? shared.profile() : [];
      if (steps.length > 0) this.#profiles?.write(request, steps);
    }
  }

  opened(device: Entry): OpenDevice {
    const opened = this.#devices.get(device);
    if (!opened) throw new ProtocolError(`the device ${device.id} of what is used was released`);
    return opened;
  }

  scopes(device: Entry): ErrorScopes {
    return this.opened(device).scopes;
  }

  standIn(device: Entry, kinds: readonly string[]): object {
    return this.opened(device).standIns.get(kinds);
  }

  /** Takes note of a mapping of a device's buffer until it is settled. */
  mapping(device: Entry, promise: Promise<unknown>): void {
    this.opened(device).mappings.add(promise);
  }

  /** Resolves when the mappings of a device's buffers are settled that were asked for by now. */
  mapped(device: Entry): Promise<unknown> {
    return this.opened(device).mappings.settled();
  }

  /** Raises a GPU error on a device, in the scope that is open now. */
  raise(device: Entry, type: FarlightErrorType, message: string): void {
    if (!this.scopes(device).catch({ type, message })) this.replies.uncaptured(device.id, { type, message });
  }

  /**
   * Where the implementation throws, the specification has an error of the device: the client has made every
   * check that throws before it sent the command.
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

  /**
   * Makes an object, and has `keep` called with it once it is known to be valid. Dawn reports an error that
   * no scope catches before the call that made it returns; what a scope caught is known when it is popped.
   */
  makeChecked<T>(device: Entry, make: () => T, keep: (object: T) => void): T {
    const opened = this.opened(device);
    const { uncaptured } = opened;
    const object = make();
    if (opened.uncaptured === uncaptured) opened.scopes.whenClean(() => keep(object));
    return object;
  }
}

/** An awaited command under way: what to wait for, and how to make the reply of it. */
export interface Awaited {
  /** Of the implementation itself, so that replies keep the order in which it resolves. */
  promise: Promise<unknown>;
  /** Made at the moment that `promise` resolves. */
  reply?: (value: never) => unknown;
}

/**
 * What a handler does with a command: `args` as the operation reads them; `made` the entry whose object it
 * is to set, if the command creates something. For an awaited operation it returns what is awaited.
 */
export type Handler = (context: Context, self: Entry, args: never, made: Entry | undefined) => unknown;
