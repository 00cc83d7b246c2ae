import { invariant } from '../../proto/errors.js';
import type { FarlightErrorType } from '../../proto/gen/operations.js';
import { describeError, ErrorScopes } from './error-scopes.js';
import { GarbageMeter } from './garbage.js';
import type { Entry, ObjectTable } from './objects.js';
import type { ReplyWriter } from './reply-writer.js';
import { SharedObjects } from './shared-objects.js';
import { StandIns } from './stand-ins.js';

/** What the executor keeps of a device, beside the device itself. */
interface DeviceState {
  scopes: ErrorScopes;
  standIns: StandIns;
  /** Mappings that are asked for and not settled. */
  mappings: Set<Promise<unknown>>;
  /** How many errors the implementation has reported that no scope caught. */
  uncaptured: number;
}

/** What the handlers of a session's commands share. */
export class Context {
  readonly gpu: GPU;
  readonly objects: ObjectTable;
  readonly replies: ReplyWriter;
  readonly garbage = new GarbageMeter();
  readonly shared = new SharedObjects();
  readonly #devices = new WeakMap<Entry, DeviceState>();

  constructor(gpu: GPU, objects: ObjectTable, replies: ReplyWriter) {
    this.gpu = gpu;
    this.objects = objects;
    this.replies = replies;
  }

  /** Begins to tell the client of a device's errors and of its end. */
  adoptDevice(entry: Entry, device: GPUDevice): void {
    entry.object = device;
    const state: DeviceState = {
      scopes: new ErrorScopes(),
      standIns: new StandIns(device),
      mappings: new Set(),
      uncaptured: 0,
    };
    this.#devices.set(entry, state);
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      state.uncaptured += 1;
      this.replies.uncaptured(entry.id, describeError(event.error));
    });
    device.lost.then(({ reason, message }) => this.replies.lost(entry.id, reason ?? 'unknown', message));
  }

  scopes(device: Entry): ErrorScopes {
    return this.#state(device).scopes;
  }

  standIn(device: Entry, kinds: readonly string[]): object {
    return this.#state(device).standIns.get(kinds);
  }

  /** Takes note of a mapping of a device's buffer until it is settled. */
  mapping(device: Entry, promise: Promise<unknown>): void {
    const { mappings } = this.#state(device);
    mappings.add(promise);
    const settled = () => void mappings.delete(promise);
    promise.then(settled, settled);
  }

  /** The mappings of a device's buffers that are not settled. */
  mappings(device: Entry): Iterable<Promise<unknown>> {
    return this.#state(device).mappings;
  }

  /** Raises a GPU error on a device, in the scope that is open now. */
  raise(device: Entry, type: FarlightErrorType, message: string): void {
    if (!this.scopes(device).catch({ type, message })) this.replies.uncaptured(device.id, { type, message });
  }

  /**
   * Makes an object, and tells whether it is surely valid: Dawn reports an error that no scope catches before
   * the call that made it returns. An error that a scope may have caught is not known of until it is popped.
   */
  makeChecked<T>(device: Entry, make: () => T): { object: T; valid: boolean } {
    const state = this.#state(device);
    const { uncaptured } = state;
    const object = make();
    return { object, valid: state.scopes.none && state.uncaptured === uncaptured };
  }

  #state(device: Entry): DeviceState {
    const state = this.#devices.get(device);
    invariant(state, 'a device was not adopted');
    return state;
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
