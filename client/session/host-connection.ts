import { native } from '../../link/machine/globals.js';
import { packageVersion } from '../../link/machine/package-version.js';
import { brokeProtocol, FarlightError, messageOf, ProtocolError, tooManyFiles } from '../../proto/errors.js';
import { PROTOCOL } from '../../proto/session/version.js';
import { FlushAssembler } from '../../proto/wire/flush.js';
import type { Link, Transport, Welcome } from '../transport/transport.js';
import type { Stats } from './stats.js';

export interface ConnectionOptions {
  /** Returns the transport when the session opens. It may load the transport only then, or wait for a host until the signal. */
  transport: (signal: AbortSignal) => Promise<Transport>;
  /** The program's name, which the host shows. */
  program: string;
}

/** The events of a session's connection. */
export interface ConnectionEvents {
  /** There is a link to send on. Comes once, first. */
  onLink(link: Link, idleMs: number | undefined): void;
  /** The host accepted the session. Comes once, before the first flush. */
  onWelcome(welcome: Welcome): void;
  /**
   * A flush of replies. Returns true if its memory is no longer needed. A ProtocolError from this ends the connection.
   */
  onFlush(flush: Uint8Array): boolean;
  /** The link takes bytes at full speed again. */
  onDrain(): void;
  /** The connection is over. Comes once, and nothing after it. */
  onEnd(reason: FarlightError): void;
}

/** A session's connection to its host, from the first flush until the session has ended. */
export class HostConnection {
  readonly #options: ConnectionOptions;
  readonly #stats: Stats;
  readonly #events: ConnectionEvents;
  readonly #assembler = new FlushAssembler();
  /**
   * - *idle*: nothing was sent yet. Leaves to *opening* by `open`, to *closed* by `close` and `fail`.
   * - *opening*: the transport is being loaded. Leaves to *linked* when there is a link, to *closed* likewise.
   * - *linked*: frames go to the link, which has states of its own (HostLink). Leaves to *closed* by `close` and `fail`,
   *   and when the link closes.
   * - *closed*: `ended` says why.
   */
  #state: 'idle' | 'opening' | 'linked' | 'closed' = 'idle';
  readonly #opening = new native.AbortController();
  #link: Link | undefined;
  #ended: FarlightError | undefined;

  constructor(options: ConnectionOptions, stats: Stats, events: ConnectionEvents) {
    this.#options = options;
    this.#stats = stats;
    this.#events = events;
  }

  /** Undefined until the transport is there. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** Why the session ended, if it did. */
  get ended(): FarlightError | undefined {
    return this.#ended;
  }

  /** Begins to open the link, unless that was done before. */
  open(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'opening';
    this.#options
      .transport(this.#opening.signal)
      .then((transport) => this.#connect(transport))
      .catch((error: unknown) => this.fail(error, 'UNREACHABLE'));
  }

  /** Closes the link. It still delivers the frames that it has. */
  close(reason: FarlightError): void {
    this.#link?.close();
    this.#end(reason);
  }

  /**
   * Ends the connection after an error: a frame breaks the protocol, for example, or there is no memory for it. `code` is
   * for errors without a code of their own.
   */
  fail(error: unknown, code: 'UNREACHABLE' | 'DISCONNECTED' = 'DISCONNECTED'): void {
    this.close(asFarlightError(error, code));
  }

  #connect(transport: Transport): void {
    if (this.#state !== 'opening') return;
    const hello = {
      protocolMin: PROTOCOL.min,
      protocolMax: PROTOCOL.max,
      version: packageVersion(),
      program: this.#options.program,
    };
    // No code of the program throws in these functions: its promise reactions run later.
    this.#link = transport.open(hello, {
      onWelcome: (welcome) => {
        if (this.#ended) return;
        try {
          this.#events.onWelcome(welcome);
        } catch (error) {
          this.fail(error);
        }
      },
      onFrame: (frame) => this.#receive(frame),
      onDrain: () => {
        if (this.#ended) return;
        try {
          this.#events.onDrain();
        } catch (error) {
          this.fail(error);
        }
      },
      onClose: (reason) =>
        this.#end(
          reason ?? new FarlightError('DISCONNECTED', `The session with ${transport.target} was closed.`),
        ),
    });
    this.#state = 'linked';
    this.#events.onLink(this.#link, transport.idleMs);
  }

  /** Returns true if the memory of the frame is no longer needed. */
  #receive(frame: Uint8Array): boolean {
    if (this.#ended) return false;
    this.#stats.bytesDown += frame.length;
    try {
      const flush = this.#assembler.push(frame);
      return flush !== undefined && this.#events.onFlush(flush);
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  #end(reason: FarlightError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#ended = reason;
    this.#opening.abort();
    this.#events.onEnd(reason);
  }
}

function asFarlightError(error: unknown, code: 'UNREACHABLE' | 'DISCONNECTED'): FarlightError {
  if (error instanceof FarlightError) return error;
  if (error instanceof ProtocolError)
    return new FarlightError('PROTOCOL_ERROR', brokeProtocol('host', error));
  return tooManyFiles(error) ?? new FarlightError(code, messageOf(error), { cause: error });
}
