import type { Handle } from '../../proto/wire/handle.js';
import type { DeviceEvents } from './replies.js';

/** An object of the program, as this file needs it. `ClientResource`, which imports the session, is one. */
interface SessionObject extends Handle {
  readonly kind: string;
  readonly device: SessionObject | undefined;
}

/** A device that gets its errors and its loss. */
export type Device = SessionObject & DeviceEvents;

/**
 * The devices of a session, which get errors and losses. The program keeps them alive. The session also keeps a device
 * alive while its commands are under way, so that their errors reach its listeners, and if the device asks for it.
 */
export class Devices {
  readonly #byId = new Map<number, WeakRef<Device>>();
  /** The device of the latest command: nearly each command is of the device of the one before it. */
  #latest: SessionObject | undefined;
  /** The serial of the next awaited command at that device's latest command. Its reply comes after all errors. */
  #latestSerial = 0;
  /** The same serial of each other device whose commands are under way. */
  readonly #others = new Map<SessionObject, number>();

  add(device: Device): void {
    this.#byId.set(device.id, new WeakRef(device));
  }

  get(id: number): Device | undefined {
    return this.#byId.get(id)?.deref();
  }

  /** Whether the program has a device that is not lost. */
  get areThere(): boolean {
    return this.#byId.size > 0;
  }

  /** Whether the host may still report an error of a command. */
  get areUnderWay(): boolean {
    return this.#latest !== undefined || this.#others.size > 0;
  }

  /** A command was recorded on this object. `serial` is its own if it is awaited, or that of the next awaited command. */
  used(self: Handle, serial: number): void {
    const device = (self as SessionObject).device ?? (self as SessionObject);
    if (device !== this.#latest) this.#change(device, serial);
    else if (serial > this.#latestSerial) this.#latestSerial = serial;
  }

  #change(device: SessionObject, serial: number): void {
    if (device.kind !== 'GPUDevice') return;
    if (this.#latest) this.#others.set(this.#latest, this.#latestSerial);
    this.#latest = device;
    this.#latestSerial = Math.max(serial, this.#others.get(device) ?? 0);
    this.#others.delete(device);
  }

  /** The host has answered an awaited command, so it has executed all commands before it. */
  answered(serial: number): void {
    if (this.#latestSerial <= serial) this.#latest = undefined;
    if (this.#others.size === 0) return;
    for (const [device, until] of this.#others) if (until <= serial) this.#others.delete(device);
  }

  /** Keeps the device until it is deleted. */
  keep(device: SessionObject): void {
    if (device === this.#latest) this.#latestSerial = Number.POSITIVE_INFINITY;
    else this.#others.set(device, Number.POSITIVE_INFINITY);
  }

  /** Nothing more comes for a device. */
  delete(id: number): void {
    const device = this.get(id);
    if (device) this.#others.delete(device);
    if (device === this.#latest) this.#latest = undefined;
    this.#byId.delete(id);
  }

  /** Takes all that are left. */
  takeAll(): Device[] {
    const left = [...this.#byId.values()].flatMap((device) => device.deref() ?? []);
    this.#byId.clear();
    this.#others.clear();
    this.#latest = undefined;
    return left;
  }
}
