import type { FarlightErrorType } from '../../proto/gen/operations.js';
import { describeError, ErrorScopes } from './error-scopes.js';
import type { Entry, ObjectTable } from './objects.js';
import type { ReplyWriter } from './reply-writer.js';

/** What the handlers of a session's commands share. */
export class Context {
  readonly gpu: GPU;
  readonly objects: ObjectTable;
  readonly replies: ReplyWriter;
  readonly #scopes = new Map<Entry, ErrorScopes>();

  constructor(gpu: GPU, objects: ObjectTable, replies: ReplyWriter) {
    this.gpu = gpu;
    this.objects = objects;
    this.replies = replies;
  }

  /** Begins to tell the client of a device's errors and of its end. */
  adoptDevice(entry: Entry, device: GPUDevice): void {
    this.#scopes.set(entry, new ErrorScopes());
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.replies.uncaptured(entry.id, describeError(event.error));
    });
    device.lost.then(({ reason, message }) => this.replies.lost(entry.id, reason ?? 'unknown', message));
  }

  forgetDevice(entry: Entry): void {
    this.#scopes.delete(entry);
  }

  scopes(device: Entry): ErrorScopes {
    let scopes = this.#scopes.get(device);
    if (!scopes) {
      scopes = new ErrorScopes();
      this.#scopes.set(device, scopes);
    }
    return scopes;
  }

  /** Raises a GPU error on a device, in the scope that is open now. */
  raise(device: Entry | undefined, type: FarlightErrorType, message: string): void {
    if (!device) return;
    if (!this.scopes(device).catch({ type, message })) this.replies.uncaptured(device.id, { type, message });
  }
}

/**
 * What a handler does with a command: `args` as the operation reads them, `made` the entry that its
 * result is to be settled in. For an awaited operation it returns the reply's promise.
 */
export type Handler = (context: Context, self: Entry, args: never, made: Entry | undefined) => unknown;
