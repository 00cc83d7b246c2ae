import { native } from '../../link/machine/globals.js';
import { ProtocolError } from '../../proto/errors.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';
import type { Settles } from './replies.js';

/**
 * What becomes of an awaited command. Each function runs at the moment that its answer is read, so that
 * promises settle in the order in which the host answered.
 */
export interface Settlement<Reply, T> {
  /** The host answered; what this throws rejects the promise. */
  fulfilled(reply: Reply): T;
  /** The host refused, or the session ended: returns the promise's value all the same, or throws. */
  rejected?(error: Error): T | PromiseLike<T>;
  /** A part of a long answer came, ahead of it. A view, valid during the call. */
  part?(bytes: Uint8Array): void;
}

/** The awaited commands of a session that are not answered yet, by their serials: from 1 on, in their order. */
export class Requests {
  readonly #asException: (rejection: Rejection) => Error;
  readonly #pending = new Map<number, Settles>();
  #next = 1;

  /** `asException` gives the exception that a promise rejects with where the host refuses. */
  constructor(asException: (rejection: Rejection) => Error) {
    this.#asException = asException;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** The serial of the next one. */
  get next(): number {
    return this.#next;
  }

  /** `settled` is told of the answer, with the error where it is one. */
  add<Reply, T>(
    operation: AnyOperation,
    { fulfilled, rejected = rethrow, part }: Settlement<Reply, T>,
    settled?: (error?: Error) => void,
  ): Promise<T> {
    return new native.Promise((resolve, reject) => {
      const attempt = <V>(settlement: (value: V) => T | PromiseLike<T>, value: V, error?: Error) => {
        try {
          settled?.(error);
          resolve(settlement(value));
        } catch (thrown) {
          reject(thrown);
        }
      };
      const fail = (error: Error) => attempt(rejected, error, error);
      this.#pending.set(this.#next++, {
        operation,
        resolve: (reply) => attempt(fulfilled, reply as Reply),
        refuse: (rejection) => fail(this.#asException(rejection)),
        reject: (error) => fail(error as Error),
        part,
      });
    });
  }

  /** Each is answered once. @throws ProtocolError where there is none of that serial. */
  take(serial: number): Settles {
    const pending = this.#pending.get(serial);
    if (!pending) throw new ProtocolError(`a reply to the request ${serial}, which is not open`);
    this.#pending.delete(serial);
    return pending;
  }

  /** @throws ProtocolError where the answer has no parts. */
  part(serial: number, bytes: Uint8Array): void {
    const part = this.#pending.get(serial)?.part;
    if (!part) throw new ProtocolError(`a part of the answer ${serial}, which has none`);
    part(bytes);
  }

  /** Takes all that are left, in their order. */
  takeAll(): Settles[] {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    return pending;
  }
}

export function rethrow(error: Error): never {
  throw error;
}
