import type {
  AdapterDescription,
  Hello,
  Link,
  LinkEvents,
  Transport,
} from '../client/transport/transport.js';
import { clearInterval, setImmediate, setInterval } from '../link/machine/clock.js';
import { FarlightError } from '../proto/errors.js';
import { PROTOCOL } from '../proto/session/version.js';

/** The executor's end of a session, like the server's SessionEndpoint. */
export interface MemoryEndpoint {
  receive(frame: Uint8Array): void;
  close(): void;
}

/** The calls of the executor's end, like the server's SessionPeer. */
export interface MemoryPeer {
  send(frame: Uint8Array): void;
  end(code: 'PROTOCOL_ERROR' | 'EXECUTOR_LOST' | 'SHUTTING_DOWN', reason: string): void;
}

/** A host in this process. */
export interface MemoryHost {
  adapter: AdapterDescription;
  wgslLanguageFeatures: string[];
  accept(peer: MemoryPeer): MemoryEndpoint;
}

/** Beyond this many bytes under way to the executor, `send` asks to wait. */
const SEND_WATERMARK = 1024 * 1024;
/** A timer that only keeps the process alive; setInterval takes no longer period. */
const NEVER_MS = 2 ** 31 - 1;

/**
 * A transport to an executor in the same process. Frames are copied, and delivered one by one in later turns
 * of the event loop, so that neither side can rely on the other's memory or stack.
 */
export function memoryTransport(host: MemoryHost): Transport {
  return {
    target: 'memory',
    open: (hello, events) => new MemoryLink(host, hello, events),
  };
}

class MemoryLink implements Link {
  readonly #events: LinkEvents;
  readonly #endpoint: MemoryEndpoint;
  readonly #queue: (() => void)[] = [];
  #turn: NodeJS.Immediate | undefined;
  #alive: NodeJS.Timeout | undefined;
  #bytesUnderWay = 0;
  #mustDrain = false;
  /** Nothing more is taken from the client, because it closed the link or the host ended the session. */
  #closing = false;
  #closed = false;

  constructor(host: MemoryHost, hello: Hello, events: LinkEvents) {
    this.#events = events;
    const { adapter, wgslLanguageFeatures } = host;
    this.#later(() =>
      events.onWelcome({
        protocol: PROTOCOL.max,
        version: hello.version,
        sessionId: 'memory',
        resumeMs: 0,
        adapter,
        wgslLanguageFeatures,
        activity: true,
        memory: true,
      }),
    );
    this.#endpoint = host.accept({
      send: (frame) => {
        const copy = frame.slice();
        this.#later(() => events.onFrame(copy));
      },
      end: (code, reason) => {
        this.#closing = true;
        this.#later(() => this.#finish(new FarlightError(code, reason)));
      },
    });
  }

  send(frame: Uint8Array): boolean {
    if (this.#closing) return true;
    const copy = frame.slice();
    this.#bytesUnderWay += copy.length;
    this.#later(() => {
      this.#bytesUnderWay -= copy.length;
      this.#endpoint.receive(copy);
      if (this.#mustDrain && this.#bytesUnderWay === 0) {
        this.#mustDrain = false;
        this.#later(() => this.#events.onDrain());
      }
    });
    this.#mustDrain ||= this.#bytesUnderWay >= SEND_WATERMARK;
    return !this.#mustDrain;
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#later(() => this.#finish(undefined));
  }

  ref(): void {
    this.#turn?.ref();
    this.#alive ??= setInterval(() => {}, NEVER_MS);
  }

  unref(): void {
    this.#turn?.unref();
    clearInterval(this.#alive);
    this.#alive = undefined;
  }

  #later(deliver: () => void): void {
    if (this.#closed) return;
    this.#queue.push(deliver);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#turn || this.#queue.length === 0) return;
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      const deliver = this.#queue.shift();
      // Scheduled first: if a receiver throws, the rest must still be delivered.
      this.#schedule();
      deliver?.();
    });
    if (!this.#alive) this.#turn.unref();
  }

  #finish(reason: FarlightError | undefined): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.unref();
    this.#endpoint.close();
    this.#events.onClose(reason);
  }
}
