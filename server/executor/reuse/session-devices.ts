import { ProtocolError } from '../../../proto/errors.js';
import type { ProfileStep } from '../../profiles/profile.js';
import type { Entry } from '../objects/object-table.js';
import type { ReplyWriter } from '../wire/reply-writer.js';
import { compileAhead } from './compile-ahead.js';
import type { DeviceRequest } from './device-request.js';
import { OpenDevice } from './open-device.js';

/** The profiles of a program's devices, by the way it asked for each device. */
export interface Profiles {
  read(request: DeviceRequest): readonly ProfileStep[];
  write(request: DeviceRequest, steps: readonly ProfileStep[]): void;
}

/** The most devices that wait for the program to ask for one again. */
const MOST_FREE = 4;

export interface SessionDevicesOptions {
  replies: ReplyWriter;
  /** Devices of earlier sessions, which this one now owns. */
  free?: OpenDevice[] | undefined;
  profiles?: Profiles | undefined;
}

/**
 * The devices of one session: devices that the program uses, and free ones that it gets when it asks for a device in the
 * same way again. A device that the client releases is free when the GPU is done with it.
 */
export class SessionDevices {
  readonly #replies: ReplyWriter;
  readonly #free: OpenDevice[];
  readonly #profiles: Profiles | undefined;
  readonly #used = new Map<Entry, OpenDevice>();
  /** Devices that the client has released and the GPU still works on. */
  readonly #freeing = new Map<OpenDevice, Promise<void>>();
  #ended = false;

  constructor({ replies, free = [], profiles }: SessionDevicesOptions) {
    this.#replies = replies;
    this.#free = free;
    this.#profiles = profiles;
  }

  /** Tells the client which pipelines it gets without waiting. */
  begin(): void {
    for (const opened of this.#free) if (opened.reusable) this.#tellOfPipelines(opened);
  }

  /** The session has ended: a device that still comes belongs to nobody. */
  end(): void {
    this.#ended = true;
  }

  /** Throws ProtocolError where the client has released this device. */
  of(device: Entry): OpenDevice {
    const opened = this.#used.get(device);
    if (!opened)
      throw new ProtocolError(`the device ${device.id} was released, and one of its objects is used`);
    return opened;
  }

  has(device: Entry): boolean {
    return this.#used.has(device);
  }

  /** Takes out a free device that was asked for in the same way. Call `adopt` with it. */
  take({ key }: DeviceRequest): OpenDevice | undefined {
    const at = this.#free.findIndex((free) => free.reusable && free.request.key === key);
    return at < 0 ? undefined : this.#free.splice(at, 1)[0];
  }

  /** Wraps a new device, and compiles on it what the program compiled on the last device that it asked for so. */
  open(device: GPUDevice, request: DeviceRequest): OpenDevice {
    const opened = new OpenDevice(device, request);
    const steps = this.#profiles?.read(request) ?? [];
    if (steps.length > 0) {
      compileAhead(opened, steps);
      this.#tellOfPipelines(opened);
    }
    return opened;
  }

  /** Gives the device to the client under this handle, and tells the client of its errors and of its end. */
  adopt(entry: Entry, opened: OpenDevice): void {
    if (this.#ended) {
      opened.device.destroy();
      return;
    }
    entry.object = opened.device;
    this.#used.set(entry, opened);
    opened.own({
      uncaptured: (error) => this.#replies.uncaptured(entry.id, error),
      lost: (reason, message) => this.#replies.lost(entry.id, reason, message),
    });
  }

  /** An object's handle is released. Where its device is released too, nothing is kept of either. */
  releaseObject(device: Entry, object: object): void {
    this.#used.get(device)?.shared.released(object);
  }

  /** The client has released a device. `onFree` is called when the GPU is done with it. */
  release(entry: Entry, onFree: (opened: OpenDevice) => void): void {
    const opened = this.of(entry);
    this.#used.delete(entry);
    this.saveProfiles([opened]);
    const freed = () => {
      this.#freeing.delete(opened);
      onFree(opened);
      if (opened.reusable) this.#free.push(opened);
      const surplus = this.#free.length > MOST_FREE ? this.#free.shift() : undefined;
      (opened.reusable ? surplus : opened)?.device.destroy();
    };
    this.#freeing.set(opened, opened.free().then(freed, freed));
  }

  /** Destroys all devices that the session uses or has just released. */
  destroy(): void {
    for (const { device } of [...this.#used.values(), ...this.#freeing.keys()]) device.destroy();
  }

  /** Ends the session's use of its devices. Resolves with the devices that another session may have. */
  async free(): Promise<OpenDevice[]> {
    await Promise.all(this.#freeing.values());
    const used = [...this.#used.values()];
    this.#used.clear();
    this.saveProfiles(used);
    await Promise.all(used.map((opened) => opened.free()));
    return [...this.#free, ...used].filter((opened) => {
      if (!opened.reusable) opened.device.destroy();
      return opened.reusable;
    });
  }

  /** Writes down what was compiled, for the next device that is asked for in the same way. */
  saveProfiles(devices: Iterable<OpenDevice> = this.#used.values()): void {
    for (const { reusable, shared, request } of devices) {
      const steps = reusable ? shared.profile() : [];
      if (steps.length > 0) this.#profiles?.write(request, steps);
    }
  }

  #tellOfPipelines(opened: OpenDevice): void {
    const tell = () => this.#replies.compiled(opened.compiledPipelines());
    if (opened.compiling) void opened.compiling.then(tell);
    else tell();
  }
}
