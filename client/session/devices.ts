import type { Handle } from '../../proto/wire/handle.js';
import type { DeviceEvents } from './replies.js';

/** An object of the program, as this file needs it. `ClientResource`, which imports the session, is one. */
interface SessionObject extends Handle {
  readonly kind: string;
  readonly device: SessionObject | undefined;
}

/** A device that hears of its errors and of its loss. */
export type Device = SessionObject & DeviceEvents;

/**
 * A session's devices, as those who hear of errors and losses. The program keeps them alive. The session does so only
 * while commands of theirs are under way, whose errors are to find their listeners, and where a device asks for it.
 */
export class Devices {
  readonly #byId = new Map<number, WeakRef<Device>>();
  /** Devices with the serial of the next awaited command at their latest command: its answer comes behind all errors. */
  readonly #underWay = new Map<SessionObject, number>();
  /** What was put there last. */
  #latest: SessionObject | undefined;
  #latestSerial = 0;

  add(device: Device): void {
    this.#byId.set(device.id, new WeakRef(device));
  }

  get(id: number): Device | undefined {
    return this.#byId.get(id)?.deref();
  }

  /** Whether the host may have to say something of a command yet. */
  get areUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  /** A command was recorded on this object; `serial` is that of the next awaited command, or its own. */
  used(self: Handle, serial: number): void {
    const { device } = self as SessionObject;
    // Nearly each command is of the device and the time of the one before it.
    if (device !== undefined && device === this.#latest && serial === this.#latestSerial) return;
    this.#use(device ?? (self as SessionObject), serial);
  }

  #use(device: SessionObject, serial: number): void {
    if (device.kind !== 'GPUDevice') return;
    this.#latest = device;
    this.#latestSerial = serial;
    // What is kept is not to become less.
    const before = this.#underWay.get(this.#latest) ?? 0;
    if (serial > before) this.#underWay.set(this.#latest, serial);
  }

  /** The host has answered an awaited command: it has carried out all that came before that. */
  answered(serial: number): void {
    for (const [device, until] of this.#underWay) {
      if (until > serial) continue;
      this.#underWay.delete(device);
      if (device === this.#latest) this.#latest = undefined;
    }
  }

  /** Keeps the device until it is deleted. */
  keep(device: SessionObject): void {
    this.#underWay.set(device, Number.POSITIVE_INFINITY);
  }

  /** Nothing more comes for a device. */
  delete(id: number): void {
    const device = this.get(id);
    if (device) this.#underWay.delete(device);
    if (device === this.#latest) this.#latest = undefined;
    this.#byId.delete(id);
  }

  /** Takes all that are left. */
  takeAll(): Device[] {
    const left = [...this.#byId.values()].flatMap((device) => device.deref() ?? []);
    this.#byId.clear();
    this.#underWay.clear();
    this.#latest = undefined;
    return left;
  }
}
