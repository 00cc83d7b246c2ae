import { objectName } from '../../../link/machine/hashing.js';
import { COMMANDS, type FarlightGPUError } from '../../../proto/gen/operations.js';
import { Asides } from '../objects/asides.js';
import { describeError, ErrorScopes } from '../objects/error-scopes.js';
import { InvalidObjects } from '../objects/invalid-objects.js';
import type { DeviceRequest } from './device-request.js';
import { SharedObjects } from './shared-objects.js';

/** Hears of a device's errors and of its end: the session that uses the device. */
export interface DeviceOwner {
  uncaptured(error: FarlightGPUError<never>): void;
  lost(reason: string, message: string): void;
}

/**
 * A device, and everything that the executor keeps for it. It belongs to one session at a time. Where that session
 * leaves it in good order, the next session of the same program can have it, with all that was compiled on it.
 *
 * States: *owned* (a session uses it), *free* (between two sessions), *spent* (lost, destroyed, or after an error that
 * is no mistake of the program). owned <-> free; both -> spent.
 */
export class OpenDevice {
  readonly device: GPUDevice;
  readonly request: DeviceRequest;
  readonly invalid: InvalidObjects;
  readonly shared: SharedObjects;
  scopes = new ErrorScopes();
  readonly mappings = new Mappings();
  readonly asides: Asides;
  /** The device was lost or destroyed. */
  isLost = false;
  /** Settles when the work of `compileAhead` is done. Undefined from then on. */
  compiling: Promise<void> | undefined;
  /** How many errors the implementation has reported that no scope caught. */
  #uncaptured = 0;
  #owner: DeviceOwner | undefined;
  #spent = false;

  constructor(device: GPUDevice, request: DeviceRequest) {
    this.device = device;
    this.request = request;
    this.invalid = new InvalidObjects(device);
    this.shared = new SharedObjects(device);
    this.asides = new Asides(device);
    const onUncaptured = (event: GPUUncapturedErrorEvent) => {
      event.preventDefault();
      this.#uncaptured += 1;
      const error = describeError(event.error);
      this.#notice(error);
      this.#owner?.uncaptured(error);
    };
    device.addEventListener('uncapturederror', onUncaptured);
    void device.lost.then(({ reason, message }) => {
      this.destroyed();
      this.#owner?.lost(reason ?? 'unknown', message);
      // npm webgpu never frees what a device's listeners refer to, and this listener refers to the whole session.
      this.#owner = undefined;
      device.removeEventListener('uncapturederror', onUncaptured);
    });
  }

  /** Whether another session may have it. */
  get reusable(): boolean {
    return !this.#spent;
  }

  /** The names of the pipelines that a program gets without waiting: see `objectName`. */
  compiledPipelines(): Uint8Array {
    const names = [this.request.name];
    const compiled: string[] = [];
    for (const { shape, payloads, parts } of this.shared.profile()) {
      const creates = COMMANDS[shape[0] ?? -1]?.creates ?? '';
      const name = objectName(
        creates,
        shape.subarray(1),
        payloads,
        parts.map((part) => names[part] as string),
      );
      names.push(name);
      if (creates.endsWith('Pipeline')) compiled.push(name);
    }
    return new Uint8Array(Buffer.from(compiled.join(''), 'hex'));
  }

  own(owner: DeviceOwner): void {
    this.#owner = owner;
  }

  /** A scope of the program caught this error. */
  caught(error: FarlightGPUError<never>): void {
    this.#notice(error);
  }

  /** How many errors the implementation has reported that no scope caught. */
  get errors(): number {
    return this.#uncaptured;
  }

  /**
   * Notes whether a new object is valid. `before` is the value of `errors` before it was made. If a scope has caught its
   * error, nothing is noted.
   */
  judge(noted: { isValid: boolean | undefined }, before: number | undefined): void {
    if (this.#uncaptured !== before) noted.isValid = false;
    else if (this.scopes.count === 0) noted.isValid = true;
    else
      this.scopes.whenClean(() => {
        noted.isValid = true;
      });
  }

  /**
   * Makes an object, and calls `keep` with it once the object is known to be valid. Dawn reports an error that no
   * scope catches before the call that makes the object returns. An error that a scope catches is known when the
   * scope is popped.
   */
  makeChecked<T>(make: () => T, keep: (object: T) => void): T {
    const before = this.#uncaptured;
    const object = make();
    if (this.#uncaptured === before) this.scopes.whenClean(() => keep(object));
    return object;
  }

  /** The program destroyed the device, or it is lost. */
  destroyed(): void {
    this.isLost = true;
    this.#spent = true;
  }

  /** Takes everything of its session away from it. Resolves when the GPU is done with that session's work. */
  async free(): Promise<void> {
    this.#owner = undefined;
    // A lost device has no scopes any more, and then there is nothing to close.
    for (let open = this.scopes.count; open > 0; open -= 1) void this.device.popErrorScope().catch(() => {});
    this.scopes = new ErrorScopes();
    this.shared.endSession();
    this.asides.clear();
    await Promise.allSettled([this.device.queue.onSubmittedWorkDone(), this.mappings.settled()]);
  }

  /** An error that is no mistake of the program may mean that the GPU is in trouble. */
  #notice({ type }: FarlightGPUError<never>): void {
    if (type !== 'validation') this.#spent = true;
  }
}

/** The `mapAsync` calls of a device's buffers that are under way. */
export class Mappings {
  /** Settles when every mapping has settled that was asked for before those in `#since`. */
  #before: Promise<unknown> = Promise.resolve();
  /** Mappings that have not settled, and that no call of `settled` covers yet. */
  #since = new Set<Promise<unknown>>();

  add(mapping: Promise<unknown>): void {
    const since = this.#since;
    since.add(mapping);
    // Some programs map all the time and never call onSubmittedWorkDone: their mappings must not fill the set.
    const settled = () => since.delete(mapping);
    mapping.then(settled, settled);
  }

  /**
   * Resolves when all mappings have settled that are under way now. Later calls resolve no earlier. Each mapping is
   * waited for once, however often this is called: a client may have any number of both under way.
   */
  settled(): Promise<unknown> {
    if (this.#since.size > 0) {
      const all = Promise.allSettled([this.#before, ...this.#since]);
      this.#since = new Set();
      // Drops the results, which the chain would keep alive as long as it grows.
      this.#before = all.then(() => undefined);
    }
    return this.#before;
  }
}
