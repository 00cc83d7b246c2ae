import { native } from '../../link/machine/globals.js';
import { ProtocolError } from '../../proto/errors.js';
import type { AnyOperation } from '../../proto/wire/operation.js';
import type { Rejection } from '../../proto/wire/reply.js';
import type { Settles } from './replies.js';

/**
 * Settles an awaited command. Each function runs while its reply is read, so promises settle in the order of the
 * replies.
 */
export interface Settlement<Reply, T> {
  /** The host answered. An exception from this rejects the promise. */
  fulfilled(reply: Reply): T;
  /** The host refused, or the session ended. Returns a value for the promise, or throws. */
  rejected?(error: Error): T | PromiseLike<T>;
  /** A part of a long result has arrived, before the reply. The view is valid during the call. */
  part?(bytes: Uint8Array): void;
}

/** An awaited command without a reply yet. */
interface Pending extends Settles {
  /** Whether the program waits for the reply. False if the promise is settled already. */
  isAwaited: boolean;
}

/** The awaited commands of a session without a reply yet, by their serials: from 1 on, in their order. */
export class Requests {
  readonly #asException: (rejection: Rejection) => Error;
  readonly #pending = new Map<number, Pending>();
  #next = 1;
  #awaited = 0;

  /** `asException` returns the exception for a promise if the host refuses. */
  constructor(asException: (rejection: Rejection) => Error) {
    this.#asException = asException;
  }

  /** How many replies the program waits for. */
  get awaited(): number {
    return this.#awaited;
  }

  /** The serial of the next awaited command. */
  get next(): number {
    return this.#next;
  }

  /** `settled` is called when the reply comes, with the error if the host refuses. */
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
      this.#awaited += 1;
      this.#pending.set(this.#next++, {
        operation,
        isAwaited: true,
        resolve: (reply) => attempt(fulfilled, reply as Reply),
        refuse: (rejection) => fail(this.#asException(rejection)),
        reject: (error) => fail(error as Error),
        part,
      });
    });
  }

  /** Adds a command of Farlight's own. No promise waits for it. `answered` gets undefined if the host refuses. */
  addOwn(operation: AnyOperation, answered: (reply: unknown) => void): void {
    const refuse = () => answered(undefined);
    this.#pending.set(this.#next++, { ...UNHEARD, operation, resolve: answered, refuse });
  }

  /** Settles a command before its reply, which then goes to `late`. Returns false if the command is settled already. */
  settle(serial: number, reply: unknown, late: (reply: unknown) => void): boolean {
    const pending = this.#pending.get(serial);
    if (!pending?.isAwaited) return false;
    this.#awaited -= 1;
    this.#pending.set(serial, { ...UNHEARD, operation: pending.operation, resolve: late });
    pending.resolve(reply);
    return true;
  }

  /** Takes a command out, since it gets one reply. @throws ProtocolError if no command has that serial. */
  take(serial: number): Pending {
    const pending = this.#pending.get(serial);
    if (!pending) throw new ProtocolError(`a reply to the request ${serial}, which is not open`);
    this.#pending.delete(serial);
    if (pending.isAwaited) this.#awaited -= 1;
    return pending;
  }

  /** @throws ProtocolError if the result has no parts. */
  part(serial: number, bytes: Uint8Array): void {
    const part = this.#pending.get(serial)?.part;
    if (!part) throw new ProtocolError(`a part of the answer ${serial}, which has none`);
    part(bytes);
  }

  /** Takes all commands that the program still waits for, in their order. */
  takeAll(): Pending[] {
    const left = [...this.#pending.values()].filter(({ isAwaited }) => isAwaited);
    this.#pending.clear();
    this.#awaited = 0;
    return left;
  }
}

/** For a command whose reply nothing waits for any more. */
const UNHEARD = { isAwaited: false, resolve() {}, refuse() {}, reject() {}, part() {} };

export function rethrow(error: Error): never {
  throw error;
}
