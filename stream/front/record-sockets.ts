import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { HttpRefusal } from '../../infer/http/body.js';
import { failureOf } from '../../infer/protocol/failures.js';
import { invalid } from '../../infer/service/service.js';
import { clearInterval, setInterval } from '../../link/machine/clock.js';

/** The most connections, and the longest frame: so they take at most some 256 MiB together. */
const MOST_SOCKETS = 128;
export const MOST_FRAME_BYTES = 1 << 20;
/** Beyond so many frames or bytes that are not answered, nothing more is read from a connection. */
const MOST_FRAMES = 256;
const MOST_BYTES = 1 << 20;
/** How often a client is asked whether it is there, in milliseconds. It has as long for its answer. */
const PING_MS = 30_000;

/** Codes of RFC 6455: the server ends, a text is no record, and the server cannot go on. */
const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
const INTERNAL_ERROR = 1011;
/** The most bytes of the reason in a close frame. */
const MOST_REASON_BYTES = 123;

/** Takes the records of the frames of one client. */
export interface FrameTaker {
  /**
   * Resolves with the answer once the records are safe. Records keep the order of the calls.
   *
   * @param what the name of the bytes, for the message.
   * @throws InferenceError invalid where they are wrong, at once; Error (rejects)
   */
  take(bytes: Uint8Array, what: string): Promise<object>;
  /** Resolves when there is room for more records. */
  room(signal: AbortSignal): Promise<void>;
}

/**
 * Connections on which a client sends records in frames of text, each as the body of a request would be. Each frame is
 * answered, in order, once its records are safe. A frame that is wrong ends its connection, after those before it are
 * answered. A client that does not read its answers, or that sends more than the application takes, has to wait.
 */
export class RecordSockets {
  readonly #server: WebSocketServer;
  readonly #onError: (error: unknown) => void;
  readonly #sockets = new Map<WebSocket, RecordSocket>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ limit, onError }: { limit: number; onError(error: unknown): void }) {
    this.#onError = onError;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: Math.min(limit, MOST_FRAME_BYTES),
    });
  }

  /** Takes over a connection. @throws HttpRefusal where there are too many */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, taker: FrameTaker): void {
    if (this.#sockets.size >= MOST_SOCKETS)
      throw new HttpRefusal(503, 'too many connections for records are open; try again later', {
        'retry-after': '10',
      });
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      this.#sockets.set(webSocket, new RecordSocket(webSocket, taker, this.#onError));
      webSocket.once('close', () => {
        this.#sockets.delete(webSocket);
        if (this.#sockets.size > 0) return;
        clearInterval(this.#timer);
        this.#timer = undefined;
      });
      this.#timer ??= setInterval(() => {
        for (const each of this.#sockets.values()) each.look();
      }, PING_MS).unref();
    });
  }

  /** Ends all connections. Frames that were not answered may be sent again elsewhere. */
  close(): void {
    for (const each of this.#sockets.values()) each.end(GOING_AWAY, 'the application ends');
  }
}

class RecordSocket {
  readonly #socket: WebSocket;
  readonly #taker: FrameTaker;
  readonly #onError: (error: unknown) => void;
  readonly #gone = new AbortController();
  /** Frames that were read and not answered, and their bytes. */
  #frames = 0;
  #bytes = 0;
  /** Frames are taken one after the other, and answered one after the other. Neither rejects. */
  #taking: Promise<void> = Promise.resolve();
  #answering: Promise<void> = Promise.resolve();
  /** Whether the client has sent a pong, and whether an answer has left, since the last look. */
  #isAlive = true;
  #hasAnswered = true;
  /** A frame was wrong: none after it is taken. */
  #isWrong = false;
  #isEnding = false;

  constructor(socket: WebSocket, taker: FrameTaker, onError: (error: unknown) => void) {
    this.#socket = socket;
    this.#taker = taker;
    this.#onError = onError;
    // A frame that breaks the protocol: `ws` ends the connection with the right code.
    socket.on('error', () => {});
    socket.on('close', () => this.#gone.abort());
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (this.#isEnding) return;
      this.#receive(data, isBinary);
    });
  }

  /** Ends a connection whose client has gone, or reads no answers, since the last look. */
  look(): void {
    const socket = this.#socket;
    // Nothing is read from a client that has to wait, and so no pong.
    const isGone = !this.#isAlive && !socket.isPaused;
    const isDeaf = !this.#hasAnswered && socket.bufferedAmount > 0;
    if (isGone || isDeaf) {
      socket.terminate();
      return;
    }
    this.#isAlive = false;
    this.#hasAnswered = false;
    socket.ping();
  }

  end(code: number, reason: string): void {
    this.#isEnding = true;
    this.#socket.resume();
    this.#socket.close(code, Buffer.from(reason).subarray(0, MOST_REASON_BYTES).toString());
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.#frames += 1;
    this.#bytes += data.length;
    if (this.#frames >= MOST_FRAMES || this.#bytes >= MOST_BYTES) this.#socket.pause();
    this.#taking = this.#taking.then(() => this.#take(data, isBinary));
  }

  async #take(data: Buffer, isBinary: boolean): Promise<void> {
    const { signal } = this.#gone;
    await this.#taker.room(signal);
    if (signal.aborted || this.#isEnding || this.#isWrong) return;
    let taken: Promise<object>;
    try {
      if (isBinary) throw invalid('a frame of records is JSON, as text');
      // The next frame need not wait until this one is safe.
      taken = this.#taker.take(data, 'the frame');
    } catch (error) {
      this.#isWrong = true;
      taken = Promise.reject(error);
    }
    // Its error goes to the client, in its turn.
    taken.catch(() => {});
    this.#answering = this.#answering.then(() => this.#answer(taken, data.length));
  }

  async #answer(taken: Promise<object>, bytes: number): Promise<void> {
    if (this.#isEnding) return;
    try {
      const text = JSON.stringify(await taken);
      // The answer counts as unanswered until it is written: a client that does not read has to wait.
      await new Promise<void>((sent) => this.#socket.send(text, () => sent()));
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#hasAnswered = true;
    this.#frames -= 1;
    this.#bytes -= bytes;
    if (this.#frames < MOST_FRAMES && this.#bytes < MOST_BYTES && this.#socket.isPaused)
      this.#socket.resume();
  }

  #fail(error: unknown): void {
    const { http, sentence } = failureOf(error, this.#onError);
    this.#socket.send(JSON.stringify({ error: sentence }), () => {});
    this.end(http < 500 ? POLICY_VIOLATION : INTERNAL_ERROR, sentence);
  }
}
