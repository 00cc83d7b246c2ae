import type { Socket } from 'node:net';
import { ProtocolError } from '../../../proto/errors.js';
import { type LineCommand, type LineReport, MOST_LINES } from '../../../proto/session/lines.js';
import { Line } from './line.js';

/** The lines of one session, by the client's numbers. */
export class Lines {
  readonly #ask: ((report: LineReport) => void) | undefined;
  readonly #lines = new Map<number, Line>();
  /** By line: the promise of its ticket. */
  readonly #tickets = new Map<number, (ticket: string) => void>();
  #sentBefore = 0;
  #receivedBefore = 0;

  /** `ask` asks the daemon. Absent where there is none: then the session has no lines. */
  constructor(ask: ((report: LineReport) => void) | undefined) {
    this.#ask = ask;
  }

  /** Counts what earlier lines of the session have sent and received in another process. */
  restore(sent: number, received: number): void {
    this.#sentBefore = sent;
    this.#receivedBefore = received;
  }

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#lines.size === 0;
  }

  /** Bytes that all lines have sent and received. */
  get sent(): number {
    return [...this.#lines.values()].reduce((sum, line) => sum + line.sent, this.#sentBefore);
  }

  get received(): number {
    return [...this.#lines.values()].reduce((sum, line) => sum + line.received, this.#receivedBefore);
  }

  /** The line of this number. @throws ProtocolError where the client has opened none, or has closed it. */
  get(number: number): Line {
    const line = this.#lines.get(number);
    if (!line) throw new ProtocolError(`there is no line ${number}`);
    return line;
  }

  /**
   * Makes a line that another host's session may join. Resolves to the ticket that it joins with, and rejects with the
   * reason where the line cannot be made.
   */
  accept(number: number): Promise<string> {
    const line = this.#make(number);
    const ticket = new Promise<string>((resolve) => this.#tickets.set(number, resolve));
    this.#ask?.({ type: 'acceptLine', line: number });
    return Promise.race([ticket, this.#opened(number, line).then(() => ticket)]);
  }

  /** Joins the line of another host's session. Rejects with the reason where it cannot. */
  connect(number: number, host: string, ticket: string): Promise<void> {
    const line = this.#make(number);
    this.#ask?.({ type: 'connectLine', line: number, host, ticket });
    return this.#opened(number, line);
  }

  /** The client needs the line no more. */
  close(number: number): void {
    const line = this.get(number);
    this.#lines.delete(number);
    this.#tickets.delete(number);
    void line.close().then(() => {
      this.#sentBefore += line.sent;
      this.#receivedBefore += line.received;
    });
  }

  /** The daemon has replied. */
  told(command: LineCommand, socket: Socket | undefined): void {
    const line = this.#lines.get(command.line);
    if (command.type === 'ticket') {
      this.#tickets.get(command.line)?.(command.ticket);
      this.#tickets.delete(command.line);
    } else if (command.type === 'noLine') {
      line?.fail(command.why);
    } else if (line && socket) {
      if (command.head.length > 0) socket.unshift(command.head);
      line.open(socket);
    } else {
      socket?.destroy();
      line?.fail('the connection to the other host was lost');
    }
  }

  /** The session has ended. */
  end(): void {
    for (const line of this.#lines.values()) line.fail('the session has ended');
    this.#lines.clear();
    this.#tickets.clear();
  }

  /** Resolves when a line is open. A line that never opens is forgotten, and the promise rejects with the reason. */
  async #opened(number: number, line: Line): Promise<void> {
    const closed = await line.opened;
    if (!closed) return;
    if (this.#lines.get(number) === line) this.#lines.delete(number);
    throw closed;
  }

  #make(number: number): Line {
    if (this.#lines.has(number)) throw new ProtocolError(`there are two lines ${number}`);
    const line = new Line();
    const isFull = this.#lines.size >= MOST_LINES;
    if (!this.#ask) line.fail('this host has no lines to other hosts');
    else if (isFull) line.fail(`a session has at most ${MOST_LINES} lines to other hosts; close one`);
    if (!isFull) this.#lines.set(number, line);
    return line;
  }
}
