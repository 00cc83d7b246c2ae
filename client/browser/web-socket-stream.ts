import type { ByteStream } from '../../link/channel/byte-stream.js';
import { clearTimeout, queueMicrotask, setTimeout } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';

// As it is now: tests put others there.
const { WebSocket } = globalThis;
const encoder = new TextEncoder();

/** Chromium takes longer for what comes in messages of 1 MiB than in shorter ones: 1.7 s for 32 MiB instead of 1.1. */
const MESSAGE_BYTES = 256 << 10;

type Listener = (value: never) => void;

/**
 * A WebSocket as a stream of bytes: what is written is cut into messages, and where they begin means nothing.
 *
 * A WebSocket takes whatever it is given and says nothing of room. What waits in it is bounded by the session: a
 * channel has 16 MiB under way at most (LIMITS.windowBytes). So `drain` never comes, nor is it waited for.
 */
export class WebSocketStream implements ByteStream {
  readonly writableNeedDrain = false;
  readonly #socket: WebSocket;
  readonly #listeners = new Map<string, Set<Listener>>();
  #gone = false;

  /** @throws Error where there is no connection to be had, which a page is told no reason for (rejects). */
  static open(
    url: string,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<WebSocketStream> {
    return new native.Promise((resolve, reject) => {
      // Throws where the page's own security forbids it.
      const socket = new WebSocket(url);
      socket.binaryType = 'arraybuffer';
      const settle = (problem?: unknown) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        socket.onopen = null;
        socket.onclose = null;
        if (problem === undefined) return resolve(new WebSocketStream(socket));
        socket.close();
        reject(problem);
      };
      const abort = () => settle(signal.reason);
      const timer = setTimeout(
        () => settle(new Error(`no answer within ${timeoutMs / 1000} seconds`)),
        timeoutMs,
      );
      signal.addEventListener('abort', abort);
      socket.onopen = () => settle();
      socket.onclose = ({ code }) => settle(new Error(`code ${code}`));
    });
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      // A host sends no text: what comes of it is refused by who reads it.
      this.#emit('data', typeof data === 'string' ? encoder.encode(data) : new Uint8Array(data));
    };
    socket.onclose = ({ wasClean, code }) => {
      if (!wasClean) this.#emit('error', new Error(`code ${code}`));
      this.#close();
    };
  }

  get writable(): boolean {
    return !this.#gone && this.#socket.readyState === WebSocket.OPEN;
  }

  write(bytes: Uint8Array): boolean {
    for (let at = 0; at < bytes.length && this.writable; at += MESSAGE_BYTES) {
      this.#socket.send(bytes.subarray(at, at + MESSAGE_BYTES) as Uint8Array<ArrayBuffer>);
    }
    return true;
  }

  end(then: () => void): void {
    this.once('close', then);
    // Behind what was sent.
    this.#socket.close();
  }

  destroy(): void {
    this.#socket.close();
    queueMicrotask(() => this.#close());
  }

  /** A WebSocket always reads, and decides for itself what leaves in one piece. */
  resume(): void {}
  cork(): void {}
  uncork(): void {}

  on(event: string, listener: Listener): this {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return this;
  }

  once(event: string, listener: Listener): this {
    const listeners = this.#listeners;
    const call: Listener = (value) => {
      listeners.get(event)?.delete(call);
      listener(value);
    };
    return this.on(event, call);
  }

  #emit(event: string, value?: unknown): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) listener(value as never);
  }

  #close(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#emit('close');
  }
}
