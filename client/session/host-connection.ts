import { packageVersion } from '../../link/machine/package-version.js';
import { brokeProtocol, FarlightError, messageOf, ProtocolError, tooManyFiles } from '../../proto/errors.js';
import { PROTOCOL } from '../../proto/version.js';
import { BatchAssembler } from '../../proto/wire/batch.js';
import type { Link, Transport, Welcome } from '../transport/transport.js';
import type { Stats } from './ledger.js';

export interface ConnectionOptions {
  /** Gives the transport when the session opens; may load it only then. */
  transport: () => Promise<Transport>;
  /** The program's name, for the host's eyes. */
  program: string;
}

/** What a session hears of its connection. */
export interface ConnectionEvents {
  /** There is a link to send on. Comes once, first. */
  onLink(link: Link): void;
  /** The host accepted the session. Comes once, before the first batch. */
  onWelcome(welcome: Welcome): void;
  /**
   * A batch of replies. Returns true where nothing of its memory is needed any more. A ProtocolError that it throws
   * ends the connection.
   */
  onBatch(batch: Uint8Array): boolean;
  /** The link takes bytes at full speed again. */
  onDrain(): void;
  /** The connection is over. Comes once, and nothing after it. */
  onEnd(reason: FarlightError): void;
}

/**
 * A session's connection to its host, from the first thing to send until the session is over.
 *
 * States: *idle* (nothing sent yet), *opening* (`open` started the link; frames queue in it), *open* (after
 * onWelcome), *closed* (`ended` says why). idle -> opening -> open -> closed; each -> closed.
 */
export class HostConnection {
  readonly #options: ConnectionOptions;
  readonly #stats: Stats;
  readonly #events: ConnectionEvents;
  readonly #assembler = new BatchAssembler();
  #opening = false;
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
    if (this.#opening) return;
    this.#opening = true;
    this.#options
      .transport()
      .then((transport) => this.#connect(transport))
      .catch((error: unknown) => this.fail(error, 'UNREACHABLE'));
  }

  /** What was given to the link is still delivered. */
  close(reason: FarlightError): void {
    this.#link?.close();
    this.#end(reason);
  }

  /**
   * Does what the host sent, which may turn out to break the protocol, or need more memory than there is: that ends the
   * connection. Nothing of the program's throws here: promise reactions run later, by themselves.
   */
  heed(message: () => void): void {
    try {
      message();
    } catch (error) {
      this.fail(error, 'DISCONNECTED');
    }
  }

  /** Ends the connection, which cannot go on; `code` is for what says nothing itself of who is to blame. */
  fail(error: unknown, code: 'UNREACHABLE' | 'DISCONNECTED'): void {
    this.close(asFarlightError(error, code));
  }

  #connect(transport: Transport): void {
    if (this.#ended) return;
    const hello = {
      protocolMin: PROTOCOL.min,
      protocolMax: PROTOCOL.max,
      version: packageVersion(),
      program: this.#options.program,
    };
    this.#link = transport.open(hello, {
      onWelcome: (welcome) => {
        if (!this.#ended) this.heed(() => this.#events.onWelcome(welcome));
      },
      onFrame: (frame) => this.#receive(frame),
      onDrain: () => {
        if (!this.#ended) this.heed(() => this.#events.onDrain());
      },
      onClose: (reason) =>
        this.#end(
          reason ?? new FarlightError('DISCONNECTED', `The session with ${transport.target} was closed.`),
        ),
    });
    this.#events.onLink(this.#link);
  }

  /** Returns true where nothing of the frame is needed any more. */
  #receive(frame: Uint8Array): boolean {
    if (this.#ended) return false;
    this.#stats.bytesDown += frame.length;
    let isRead = false;
    this.heed(() => {
      const batch = this.#assembler.push(frame);
      if (batch) isRead = this.#events.onBatch(batch);
    });
    return isRead;
  }

  #end(reason: FarlightError): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#events.onEnd(reason);
  }
}

function asFarlightError(error: unknown, code: 'UNREACHABLE' | 'DISCONNECTED'): FarlightError {
  if (error instanceof FarlightError) return error;
  if (error instanceof ProtocolError)
    return new FarlightError('PROTOCOL_ERROR', brokeProtocol('host', error));
  return tooManyFiles(error) ?? new FarlightError(code, messageOf(error), { cause: error });
}
