import type { Carrier, CarrierEvents } from '../../link/channel/carrier.js';
import { PacketDecoder } from '../../link/channel/packet-decoder.js';
import { clearTimeout, setImmediate, setTimeout } from '../../link/machine/clock.js';
import { native } from '../../link/machine/globals.js';
import { encodePacket, PACKET_LIMIT, type PacketKind, PREFACE } from '../../proto/wire/packet.js';

// Take the class once, when this module loads.
const { WebSocket } = globalThis;
const encoder = new TextEncoder();

/** Chromium is slower with longer messages: 32 MiB take 1.7 s in messages of 1 MiB, and 1.1 s in messages of this length. */
const MESSAGE_BYTES = 256 << 10;

/**
 * Packets on a page's WebSocket, as the bytes that a socket would carry. The bytes are cut into messages, and the ends of
 * messages mean nothing. The carrier owns the WebSocket.
 *
 * A WebSocket accepts all bytes and never says that it is full. The channel's window (LIMITS.windowBytes) bounds the bytes
 * that wait in it. So `onDrain` never comes.
 */
export class WebSocketCarrier implements Carrier {
  readonly #socket: WebSocket;
  #events: CarrierEvents | undefined;
  #isDeaf = false;
  #isGone = false;

  /** @throws Error (rejects) if there is no connection. Browsers do not tell a page the reason. */
  static open(
    url: string,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<WebSocketCarrier> {
    return new native.Promise((resolve, reject) => {
      // Throws where the page's own security forbids it.
      const socket = new WebSocket(url);
      socket.binaryType = 'arraybuffer';
      const settle = (problem?: unknown) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        socket.onopen = null;
        socket.onclose = null;
        if (problem === undefined) return resolve(new WebSocketCarrier(socket));
        socket.close();
        reject(problem);
      };
      const abort = () => settle(signal.reason);
      const late = () => settle(new Error(`no answer within ${timeoutMs / 1000} seconds`));
      const timer = setTimeout(late, timeoutMs);
      signal.addEventListener('abort', abort);
      socket.onopen = () => settle();
      socket.onclose = ({ code }) => settle(new Error(`code ${code}`));
    });
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  start(events: CarrierEvents): void {
    this.#events = events;
    const socket = this.#socket;
    const onPacket = (packet: Uint8Array) => {
      if (!this.#isDeaf) events.onPacket(packet[0], packet.subarray(1));
    };
    const decoder = new PacketDecoder(onPacket, PACKET_LIMIT, () => events.onReached?.());
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (this.#isDeaf) return;
      try {
        // A host sends no text. The decoder refuses its bytes.
        decoder.push(typeof data === 'string' ? encoder.encode(data) : new Uint8Array(data));
      } catch (error) {
        this.#isDeaf = true;
        events.onBroken(error as Error);
      }
    };
    socket.onclose = ({ wasClean, code }) => this.#finish(wasClean ? undefined : new Error(`code ${code}`));
    // The WebSocket may have closed since it opened.
    if (socket.readyState !== WebSocket.OPEN) setImmediate(() => this.#finish(undefined));
    this.#write(PREFACE);
  }

  send(kind: PacketKind, body: Uint8Array): boolean {
    this.#write(encodePacket(kind, body));
    return true;
  }

  end(left?: () => void): void {
    this.#isDeaf = true;
    if (left) this.#socket.addEventListener('close', left);
    // Closes after everything that was sent.
    this.#socket.close();
  }

  abort(): void {
    this.#isDeaf = true;
    this.#socket.close();
    // Closing may take long, or never end.
    setImmediate(() => this.#finish(undefined));
  }

  #write(bytes: Uint8Array): void {
    const socket = this.#socket;
    for (let at = 0; at < bytes.length && socket.readyState === WebSocket.OPEN; at += MESSAGE_BYTES)
      socket.send(bytes.subarray(at, at + MESSAGE_BYTES) as Uint8Array<ArrayBuffer>);
  }

  #finish(why: Error | undefined): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#events?.onGone(why);
  }
}
