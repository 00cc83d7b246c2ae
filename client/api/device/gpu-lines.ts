import { native } from '../../../link/machine/globals.js';
import { FarlightError } from '../../../proto/errors.js';
import { OPERATIONS } from '../../../proto/gen/operations.js';
import { resourceOf } from '../../../proto/webidl/resource.js';
import { ClientResource } from '../../session/client-resource.js';
import type { Session } from '../../session/session.js';

const { accept, connect, close } = OPERATIONS.FarlightLines;
const { send, receive } = OPERATIONS.FarlightRange;

/** How long a range may be awaited where the program says nothing else, in milliseconds. */
const TIMEOUT_MS = 120_000;

/**
 * A line between a device and one at another host, over which ranges of buffers go from host to host. The first range that
 * is sent at one end is the first that is received at the other, and both have the same size. The calls return at once:
 * the host does the rest.
 *
 * A line breaks for good where either session ends, a host is gone, a connection is cut, a range does not come in time, or
 * a range is wrong. Then each range that is not there yet is a GPUInternalError of its device, at both ends, and the
 * commands behind it go on.
 */
export interface Line {
  /**
   * Sends the bytes that the range has after all earlier submits. Later commands do not wait for it. Until it has left, a
   * copy of it takes GPU memory of this session.
   *
   * @throws OperationError if it is no range of the buffer, in multiples of 4.
   */
  sendRange(buffer: GPUBuffer, offset: number, size: number): void;
  /**
   * Fills the range with the next one of the other end. All later commands of the session wait on the host until it is
   * there, for at most `timeout` milliseconds; two minutes without it.
   *
   * @throws OperationError if it is no range of the buffer, in multiples of 4.
   */
  receiveRange(buffer: GPUBuffer, offset: number, size: number, options?: { timeout?: number }): void;
  /** Closes the line when all that was sent has left. The second call does nothing. */
  close(): void;
}

/** The lines of a device to devices at other hosts. Each end opens its own: one accepts, and the other connects. */
export interface GpuLines {
  /**
   * Makes a line that a session at another host may join once, within a minute, with this ticket. Rejects with a
   * FarlightError where the host's owner allows no lines, and with an OperationError where the session has too many.
   */
  accept(): Promise<{ ticket: string; line: Line }>;
  /**
   * Joins a line. `host` is the address of the host that gave out the ticket, as the owner of this device's host has named
   * it with `farlight serve --peer`. Its token and pin stay here: this host is told neither. Rejects with an
   * OperationError where the line cannot be joined, and with a FarlightError where the owner allows no lines.
   */
  connect(host: string, ticket: string): Promise<Line>;
}

/**
 * The lines of a device to other hosts.
 *
 * @throws TypeError if it is no device that Farlight made.
 */
export function gpuLines(device: globalThis.GPUDevice): GpuLines {
  const resource = resourceOf(device);
  if (!(resource instanceof ClientResource) || resource.kind !== 'GPUDevice')
    throw new TypeError('gpuLines: this is not a device that Farlight made');
  const { session } = resource;
  const queue = resourceOf(device.queue) as ClientResource;
  return {
    async accept() {
      requireLines(session);
      const number = nextNumber(session);
      const ticket = await session.request(accept, session.root, [number], { fulfilled: (reply) => reply });
      return { ticket, line: new SessionLine(queue, number) };
    },
    async connect(host, ticket) {
      requireLines(session);
      const number = nextNumber(session);
      const args = [number, withoutSecrets(host), String(ticket)];
      await session.request(connect, session.root, args, { fulfilled: () => undefined });
      return new SessionLine(queue, number);
    },
  };
}

class SessionLine implements Line {
  readonly #queue: ClientResource;
  readonly #number: number;
  #isClosed = false;

  constructor(queue: ClientResource, number: number) {
    this.#queue = queue;
    this.#number = number;
  }

  sendRange(buffer: GPUBuffer, offset: number, size: number): void {
    const range = this.#range('sendRange', buffer, offset, size);
    this.#queue.session.record(send, this.#queue, [this.#number, ...range]);
  }

  receiveRange(
    buffer: GPUBuffer,
    offset: number,
    size: number,
    { timeout = TIMEOUT_MS }: { timeout?: number } = {},
  ): void {
    if (!Number.isInteger(timeout) || timeout <= 0 || timeout >= 2 ** 31)
      throw new RangeError(`receiveRange takes a timeout of whole milliseconds from 1 on, not ${timeout}`);
    const range = this.#range('receiveRange', buffer, offset, size);
    this.#queue.session.record(receive, this.#queue, [this.#number, ...range, timeout]);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { session } = this.#queue;
    session.record(close, session.root, [this.#number]);
  }

  #range(method: string, buffer: GPUBuffer, offset: number, size: number) {
    const resource = resourceOf(buffer);
    if (!(resource instanceof ClientResource) || resource.kind !== 'GPUBuffer')
      throw new TypeError(`${method}: this is not a buffer that Farlight made`);
    const fail = (why: string) => new native.DOMException(`${method}: ${why}.`, 'OperationError');
    if (this.#isClosed) throw fail('the line was closed');
    if (resource.device !== this.#queue.device) throw fail("the buffer is not one of the line's device");
    const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0 && value % 4 === 0;
    if (!isCount(offset) || !isCount(size) || size === 0 || offset + size > buffer.size)
      throw fail(`${size} bytes at ${offset} are no range of ${buffer.size} bytes, in multiples of 4`);
    return [resource, offset, size];
  }
}

/** By session, how many lines it has had. */
const numbers = new WeakMap<Session, number>();

function nextNumber(session: Session): number {
  const number = (numbers.get(session) ?? 0) + 1;
  numbers.set(session, number);
  return number;
}

/** @throws FarlightError BAD_OPTION */
function requireLines({ welcome }: Session): void {
  if (welcome?.lines) return;
  throw new FarlightError(
    'BAD_OPTION',
    'the host has no lines to other hosts; its owner names these with farlight serve --peer',
  );
}

/** An address without its token and its pin. */
function withoutSecrets(host: string): string {
  if (host.startsWith('unix:')) return host.replace(/\?.*/s, '');
  try {
    const { protocol, host: where } = new native.URL(host);
    return `${protocol}//${where}`;
  } catch {
    throw new FarlightError('BAD_URL', "connect takes a host's address, such as grpcs://HOST:PORT");
  }
}
