import type { ByteStream } from '../../link/channel/byte-stream.js';
import { clearTimeout, queueMicrotask, setTimeout } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';

// Taken now: tests replace the global later.
const { WebSocket } = globalThis;
const encoder = new TextEncoder();

/** Chromium takes longer for messages of 1 MiB than for shorter ones: 1.7 s for 32 MiB instead of 1.1. */
const MESSAGE_BYTES = 256 << 10;

type Listener = (value: never) => void;

/**
 * A WebSocket as a stream of bytes: written bytes are cut into messages, whose borders mean nothing.
 *
 * A WebSocket accepts any amount of data, and does not tell how much waits. The session bounds it: a channel
 * has at most 16 MiB under way (LIMITS.windowBytes). So `drain` is never emitted, and nobody waits for it.
 */
export class WebSocketStream implements ByteStream {
  readonly writableNeedDrain = false;
  readonly #socket: WebSocket;
  readonly #listeners = new Map<string, Set<Listener>>();
  #gone = false;

  /** @throws Error (rejects) if no connection can be made; the browser tells a page no reason. */
  static open(
    url: string,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<WebSocketStream> {
    return new native.Promise((resolve, reject) => {
      // Throws if the page's own security forbids it.
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
      // A host sends no text. The reader of the stream rejects it.
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
    // Closes after everything that was sent.
    this.#socket.close();
  }

  destroy(): void {
    this.#socket.close();
    queueMicrotask(() => this.#close());
  }

  /** A WebSocket always reads, and decides itself what to send together. */
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
