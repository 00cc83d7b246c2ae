import { native } from '../../../link/machine/globals.js';
import { FarlightError } from '../../../proto/errors.js';
import { OPERATIONS } from '../../../proto/gen/operations.js';
import { fromWire, type MemoryPeak, type MemoryState } from '../../../proto/session/memory.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import type { MemoryReader } from '../../session/memory-watch.js';
import type { Session } from '../../session/session.js';

const { read, resetPeak, reserve, release } = OPERATIONS.FarlightMemory;

/** GPU memory that is kept for one session: others cannot take it. */
export interface Reservation {
  readonly bytes: number;
  /**
   * Gives the memory up, at the end of the current task. Buffers and textures keep the part that they use. The second call
   * does nothing. The end of the session does the same.
   */
  release(): void;
}

/**
 * The GPU memory of one session, as its host counts it: the bytes of buffers and textures that the program has made, and
 * neither destroyed nor dropped. Iterating tells the state now, and again when it has changed, at most ten times a second.
 * The iteration ends with an error when the session ends.
 *
 * Each method rejects with a FarlightError where the session ends, or where its host is of an older version.
 */
export interface GpuMemory extends AsyncIterable<MemoryState> {
  /** The state after all calls so far. The figures of other sessions are up to a quarter of a second old. */
  read(): Promise<MemoryState>;
  /** The peak after all calls so far. Then a new peak begins. */
  resetPeak(): Promise<MemoryPeak>;
  /**
   * Keeps so many bytes for the buffers and textures that this session makes from now on. Resolves to null where the
   * session cannot have them now. Rejects with an OperationError where nothing tells how much memory there is.
   */
  reserve(bytes: number): Promise<Reservation | null>;
}

/** The memory of the sessions that `current` returns, one after the other. */
export function memoryOf(current: () => Session): GpuMemory {
  return {
    read: async () => fromWire(await ask(current(), read, [])),
    resetPeak: async () => ask(current(), resetPeak, []),
    async reserve(bytes) {
      if (!Number.isSafeInteger(bytes) || bytes <= 0) {
        throw new RangeError(`reserve takes a whole number of bytes from 1 on, not ${bytes}`);
      }
      const session = current();
      return (await ask(session, reserve, [bytes])) ? new SessionReservation(session, bytes) : null;
    },
    [Symbol.asyncIterator]: () => new MemoryStates(current()),
  };
}

class SessionReservation implements Reservation {
  readonly bytes: number;
  readonly #session: Session;
  #isReleased = false;

  constructor(session: Session, bytes: number) {
    this.#session = session;
    this.bytes = bytes;
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#session.record(release, this.#session.root, [this.bytes]);
  }
}

/** Asks the host. A host that does not know these commands would take them for a mistake, so it is not asked. */
async function ask<Reply>(
  session: Session,
  operation: AnyOperation & { readReply(...args: never): Reply },
  args: readonly unknown[],
): Promise<Reply> {
  if (!session.welcome) await untilWelcome(session);
  requireMemory(session);
  return session.request(operation, session.root, args, { fulfilled: (reply: Reply) => reply });
}

/** Any host answers this command, and sends its Welcome before the answer. */
function untilWelcome(session: Session): Promise<unknown> {
  const { acknowledge } = OPERATIONS.FarlightSession;
  return session.request(acknowledge, session.root, [], { fulfilled: () => {} });
}

/** @throws FarlightError VERSION_MISMATCH */
function requireMemory({ welcome }: Session): void {
  if (!welcome || welcome.memory === true) return;
  throw new FarlightError(
    'VERSION_MISMATCH',
    `the host (farlight ${welcome.version}) does not tell of GPU memory; install the same version of farlight there`,
  );
}

/** The states of a session's memory, as one reader gets them: always the newest, and none twice. */
class MemoryStates implements AsyncIterableIterator<MemoryState>, MemoryReader {
  readonly #session: Session;
  /** Settles when the host has been asked to tell. */
  #begun: Promise<void> | undefined;
  #isOver = false;
  /** The newest state, until it is read. */
  #unread: MemoryState | undefined;
  #failure: Error | undefined;
  /** The reads that wait, the oldest first. */
  readonly #waiting: { take(result: IteratorResult<MemoryState>): void; fail(error: Error): void }[] = [];

  constructor(session: Session) {
    this.#session = session;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<MemoryState>> {
    this.#begun ??= this.#begin();
    await this.#begun;
    if (this.#failure) throw this.#failure;
    if (this.#isOver) return { done: true, value: undefined };
    const value = this.#unread;
    this.#unread = undefined;
    if (value) return { done: false, value };
    return this.#wait();
  }

  async return(): Promise<IteratorResult<MemoryState>> {
    this.#isOver = true;
    this.#session.memory.delete(this);
    for (const { take } of this.#takeWaiting()) take({ done: true, value: undefined });
    return { done: true, value: undefined };
  }

  told(state: MemoryState): void {
    const [first] = this.#waiting;
    if (!first) {
      this.#unread = state;
      return;
    }
    this.#waiting.shift();
    this.#session.unhold();
    first.take({ done: false, value: state });
  }

  ended(reason: Error): void {
    this.#failure = reason;
    for (const { fail } of this.#takeWaiting()) fail(reason);
  }

  async #begin(): Promise<void> {
    if (!this.#session.welcome) await untilWelcome(this.#session);
    requireMemory(this.#session);
    if (!this.#isOver) this.#session.memory.add(this);
  }

  /** Keeps the process alive, as every wait for the host does. */
  #wait(): Promise<IteratorResult<MemoryState>> {
    this.#session.hold();
    return new native.Promise((take, fail) => void this.#waiting.push({ take, fail }));
  }

  *#takeWaiting() {
    for (const each of this.#waiting.splice(0)) {
      this.#session.unhold();
      yield each;
    }
  }
}
