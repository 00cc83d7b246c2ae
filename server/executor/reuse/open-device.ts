import { objectName } from '../../../link/machine/hashing.js';
import { COMMANDS, type FarlightGPUError } from '../../../proto/gen/operations.js';
import { describeError, ErrorScopes } from '../objects/error-scopes.js';
import { StandIns } from '../objects/invalid-objects.js';
import { Mappings } from '../objects/mappings.js';
import type { DeviceRequest } from './device-request.js';
import { SharedObjects } from './shared-objects.js';

/** Who hears of a device's errors and of its end: the session that uses it. */
export interface DeviceOwner {
  uncaptured(error: FarlightGPUError<never>): void;
  lost(reason: string, message: string): void;
}

/**
 * A device, and what the executor keeps beside it. It belongs to one session at a time; where that has left
 * it in good order, the next session of the same program may have it, with all that was compiled on it.
 *
 * States: *owned* (a session uses it), *free* (between two), *spent* (it was lost or destroyed, or had an
 * error that is not a program's mistake). owned <-> free; both -> spent.
 */
export class OpenDevice {
  readonly device: GPUDevice;
  readonly request: DeviceRequest;
  readonly standIns: StandIns;
  readonly shared: SharedObjects;
  scopes = new ErrorScopes();
  readonly mappings = new Mappings();
  /** How many errors the implementation has reported that no scope caught. */
  uncaptured = 0;
  /** Until what its program had compiled on another such device is compiled: resolves then. */
  compiling: Promise<void> | undefined;
  #owner: DeviceOwner | undefined;
  #spent = false;

  constructor(device: GPUDevice, request: DeviceRequest) {
    this.device = device;
    this.request = request;
    this.standIns = new StandIns(device);
    this.shared = new SharedObjects(device);
    const onUncaptured = (event: GPUUncapturedErrorEvent) => {
      event.preventDefault();
      this.uncaptured += 1;
      const error = describeError(event.error);
      this.#notice(error);
      this.#owner?.uncaptured(error);
    };
    device.addEventListener('uncapturederror', onUncaptured);
    void device.lost.then(({ reason, message }) => {
      this.#spent = true;
      this.#owner?.lost(reason ?? 'unknown', message);
      // npm webgpu never frees what a device's listeners refer to, and this one refers to the whole session.
      this.#owner = undefined;
      device.removeEventListener('uncapturederror', onUncaptured);
    });
  }

  /** Whether another session may have it. */
  get reusable(): boolean {
    return !this.#spent;
  }

  /** The names of the pipelines that a program gets without waiting, see `objectName`. */
  heldPipelines(): Uint8Array {
    const names = [this.request.name];
    const held: string[] = [];
    for (const { shape, payloads, parts } of this.shared.profile()) {
      const creates = COMMANDS[shape[0] ?? -1]?.creates ?? '';
      const name = objectName(
        creates,
        shape.subarray(1),
        payloads,
        parts.map((part) => names[part] as string),
      );
      names.push(name);
      if (creates.endsWith('Pipeline')) held.push(name);
    }
    return new Uint8Array(Buffer.from(held.join(''), 'hex'));
  }

  own(owner: DeviceOwner): void {
    this.#owner = owner;
  }

  /** An error that a scope of the program caught. */
  caught(error: FarlightGPUError<never>): void {
    this.#notice(error);
  }

  /** The program destroyed it. */
  destroyed(): void {
    this.#spent = true;
  }

  /** The session is over: nothing of it may reach the next one. Resolves when the GPU is done with it. */
  async free(): Promise<void> {
    this.#owner = undefined;
    for (let open = this.scopes.count; open > 0; open -= 1) void this.device.popErrorScope().catch(() => {});
    this.scopes = new ErrorScopes();
    this.shared.endSession();
    await Promise.allSettled([this.device.queue.onSubmittedWorkDone(), this.mappings.settled()]);
  }

  /** What is not a program's mistake may be a GPU that is in trouble. */
  #notice({ type }: FarlightGPUError<never>): void {
    if (type !== 'validation') this.#spent = true;
  }
}
