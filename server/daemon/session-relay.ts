import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { ExecutorChild, ExecutorReady } from '../../link/executor-child.js';
import { type ClientMessage, type HostMessage, STREAM_FRAME_LIMIT } from '../../proto/envelope.js';
import type { FarlightError } from '../../proto/errors.js';
import {
  type Hello,
  SESSION_END,
  type SessionEndCode,
  type VersionRange,
  versionMismatch,
  type Welcome,
} from '../../proto/handshake.js';
import { negotiate } from '../../proto/version.js';
import type { Counters } from './counters.js';
import type { ExecutorPool } from './executor-pool.js';
import type { KeptContents } from './kept-contents.js';

export type SessionCall = ServerDuplexStream<ClientMessage, HostMessage>;

export interface RelayOptions {
  id: string;
  versions: VersionRange;
  pool: ExecutorPool;
  /** Absent where the executors keep none. */
  contents: KeptContents | undefined;
  counters: Counters;
  /** The session is over and its executor has been given back. Comes once. */
  onEnd(): void;
}

/** How long a client may take to say Hello, in milliseconds. */
const HELLO_TIMEOUT_MS = 10_000;
/** The bytes of replies that may wait for a slow client before the executor is paused. */
const REPLY_WATERMARK = 4 * 1024 * 1024;

/**
 * One session: carries frames between its gRPC stream and its executor, and understands none of them.
 * Where one side takes them slowly the other is paused, so a session holds a bounded number of bytes
 * in the daemon.
 *
 * States: *greeting* (until Hello) -> *opening* (the executor opens its GPU; frames flow to it
 * already) -> *open* (after Welcome) -> *ended*. Each leads to *ended*: by the client's end or
 * disappearance, by the executor's exit, or by `end`.
 */
export class SessionRelay {
  readonly #call: SessionCall;
  readonly #options: RelayOptions;
  #executor: ExecutorChild | undefined;
  #protocol = 0;
  #ended = false;
  #replyBytesUnderWay = 0;
  /** For Hello. */
  readonly #timer: NodeJS.Timeout;

  constructor(call: SessionCall, options: RelayOptions) {
    this.#call = call;
    this.#options = options;
    this.#timer = setTimeout(
      () => this.end('PROTOCOL_ERROR', `the client said no Hello within ${HELLO_TIMEOUT_MS / 1000} seconds`),
      HELLO_TIMEOUT_MS,
    ).unref();
    call.on('data', (message: ClientMessage) => this.#receive(message));
    // The client closed its side in good order: the executor still takes what came before.
    call.on('end', () => this.#finish());
    call.on('cancelled', () => this.#finish());
    call.on('error', () => this.#finish());
  }

  /** Ends the session and tells the client why. */
  end(code: SessionEndCode, message: string): void {
    if (this.#ended) return;
    this.#call.write({ end: { code, message } });
    this.#finish();
  }

  #receive(message: ClientMessage): void {
    if (this.#ended) return;
    if ('commands' in message && message.commands.length === 0) {
      // Between this process and the executor an empty frame has a meaning.
      this.end('PROTOCOL_ERROR', 'a frame is empty');
    } else if ('commands' in message && this.#executor) {
      const { counters } = this.#options;
      counters.framesUp++;
      counters.bytesUp += message.commands.length;
      if (!this.#executor.send(message.commands)) this.#call.pause();
    } else if ('hello' in message && !this.#executor) {
      this.#greet(message.hello);
    } else {
      this.end('PROTOCOL_ERROR', 'a session begins with one Hello, and nothing but commands comes after it');
    }
  }

  #greet(hello: Hello): void {
    clearTimeout(this.#timer);
    const { versions, pool } = this.#options;
    const client = { min: hello.protocolMin, max: hello.protocolMax };
    const protocol = negotiate(client, { min: versions.protocolMin, max: versions.protocolMax });
    if (protocol === undefined) {
      this.end('VERSION_MISMATCH', versionMismatch(hello, versions));
      return;
    }
    this.#protocol = protocol;
    this.#executor = pool.take(hello.program, {
      onReady: (ready) => this.#welcome(ready),
      onFrame: (frame) => this.#reply(frame),
      onDrain: () => this.#call.resume(),
      onExit: (reason) => this.#onExecutorExit(reason),
    });
  }

  #welcome({ adapter, wgslLanguageFeatures }: ExecutorReady): void {
    if (this.#ended) return;
    const { id, versions } = this.#options;
    const welcome: Welcome = {
      protocol: this.#protocol,
      version: versions.version,
      sessionId: id,
      adapter,
      wgslLanguageFeatures,
      contents: this.#options.contents?.describe(),
    };
    this.#call.write({ welcome });
  }

  #reply(frame: Uint8Array): void {
    if (this.#ended) return;
    if (frame.length > STREAM_FRAME_LIMIT) {
      const sizes = `${frame.length} bytes, over the limit of ${STREAM_FRAME_LIMIT}`;
      this.end('EXECUTOR_LOST', `the GPU executor sent a reply of ${sizes}; this is a bug of farlight's`);
      return;
    }
    const { counters } = this.#options;
    counters.framesDown++;
    counters.bytesDown += frame.length;
    this.#replyBytesUnderWay += frame.length;
    this.#call.write({ replies: frame }, () => {
      this.#replyBytesUnderWay -= frame.length;
      if (this.#replyBytesUnderWay <= REPLY_WATERMARK / 2) this.#executor?.resume();
    });
    if (this.#replyBytesUnderWay > REPLY_WATERMARK) this.#executor?.pause();
  }

  #onExecutorExit(reason: FarlightError | undefined): void {
    if (this.#ended) return;
    this.#options.counters.executorsLost++;
    const code = reason && reason.code in SESSION_END ? (reason.code as SessionEndCode) : 'EXECUTOR_LOST';
    this.end(code, reason?.message ?? 'the GPU executor ended');
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#call.end();
    // What the client still sends is read and dropped, or the stream could not end.
    this.#call.resume();
    if (this.#executor) this.#options.pool.giveBack(this.#executor);
    this.#options.onEnd();
  }
}
