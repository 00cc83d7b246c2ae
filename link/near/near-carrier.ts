import { readSync, writeSync, writevSync } from 'node:fs';
import type { Socket } from 'node:net';
import { dataHeader, encodePacket, PACKET_LIMIT, type PacketKind, PREFACE } from '../../proto/wire/packet.js';
import type { Carrier, CarrierEvents } from '../channel/carrier.js';
import { PacketDecoder } from '../channel/packet-decoder.js';
import { setTimeout } from '../machine/clock.js';
import { unref } from '../machine/timer.js';
import { DirectSocket } from './direct-socket.js';
import { endSocket, JOINED_BYTES, SocketCarrier } from './socket-carrier.js';

/** Between two attempts to write bytes that the system did not take, in milliseconds. */
const RETRY_MS = 1;
/** How many bytes the event loop reads at once. */
const SLAB_BYTES = 64 << 10;

/**
 * A carrier on a pipe or a unix socket to a process of this machine, for a program's own thread. It does not keep the
 * process alive. Outside Node it uses the socket's streams.
 */
export function nearCarrier(socket: Socket, options: { greets?: boolean } = {}): Carrier {
  socket.unref();
  const direct = DirectSocket.over(socket);
  return direct
    ? new NearCarrier(direct.unref() as DirectSocket, options)
    : new SocketCarrier(socket, options);
}

/**
 * Writes by system calls, which cost less than a stream. It also works without the event loop: a program that writes
 * without a pause never reaches the loop, and its bytes must leave in any case. It owns the socket.
 */
export class NearCarrier implements Carrier {
  readonly isNear = true;
  readonly #socket: DirectSocket;
  readonly #fd: number;
  readonly #decoder: PacketDecoder;
  readonly #greets: boolean;
  #events: CarrierEvents | undefined;
  #error: Error | undefined;
  /** Bytes that the system has not taken yet. */
  #waiting: Uint8Array[] = [];
  #needsDrain = false;
  #cannotWrite = false;
  /** Read bytes are being delivered. */
  #isReading = false;
  /** No more is read: the peer broke the protocol, or this side is closing. */
  #isDeaf = false;
  #isGone = false;
  /** Called when everything is written and the connection closes. */
  #left: (() => void) | undefined;
  /** This side is closing, and the system has taken everything. */
  #isEnded = false;

  constructor(socket: DirectSocket, { greets = false }: { greets?: boolean } = {}) {
    this.#socket = socket;
    this.#fd = socket.fd;
    this.#greets = greets;
    const onPacket = (packet: Uint8Array) => {
      if (!this.#isDeaf) this.#events?.onPacket(packet[0], packet.subarray(1));
    };
    this.#decoder = new PacketDecoder(
      onPacket,
      PACKET_LIMIT,
      greets ? () => this.#events?.onReached?.() : undefined,
    );
    // The socket may fail before `start`.
    socket.on('error', (error: Error) => {
      this.#error ??= error;
    });
  }

  start(events: CarrierEvents): void {
    this.#events = events;
    const socket = this.#socket;
    socket.on('end', () => {
      // When closing, the waiting bytes leave first.
      if (!this.#isDeaf) this.#finish();
    });
    socket.on('close', () => this.#finish());
    if (this.#greets) this.#write(PREFACE);
    // net takes memory long before it reads into it, and a turn may read in between. So net has memory of its own.
    const slab = new Uint8Array(SLAB_BYTES);
    socket.deliver({ room: () => slab, push: (piece) => this.push(piece) });
    socket.resume();
  }

  send(kind: PacketKind, body: Uint8Array): boolean {
    if (this.#isOver || this.#left || this.#isEnded) return true;
    if (body.length < JOINED_BYTES) this.#write(encodePacket(kind, body));
    else this.#write(dataHeader(body.length, kind), body);
    return !this.#needsDrain;
  }

  end(left: () => void = () => {}): void {
    this.#isDeaf = true;
    this.#left = left;
    this.#flush();
  }

  abort(): void {
    this.#isDeaf = true;
    this.#waiting = [];
    this.#socket.destroy();
  }

  turn(): boolean | undefined {
    if (!this.#events || this.#isReading || this.#isOver || this.#isEnded) return undefined;
    this.#flush();
    const room = this.#decoder.room();
    let length: number;
    try {
      length = readSync(this.#fd, room, 0, room.length, null);
    } catch (error) {
      return wouldWait(error) ? false : undefined;
    }
    // The end of the stream: the event loop will notice it too.
    if (length === 0) return undefined;
    this.push(room.subarray(0, length));
    return true;
  }

  /** Takes bytes that a turn or the event loop has read. */
  push(piece: Uint8Array): void {
    if (this.#isDeaf || this.#isGone) return;
    this.#isReading = true;
    try {
      this.#decoder.push(piece);
    } catch (error) {
      this.#isDeaf = true;
      this.#events?.onBroken(error as Error);
    } finally {
      this.#isReading = false;
    }
    // A peer that sends has most likely made room by reading.
    if (this.#needsDrain) this.#flush();
  }

  #write(bytes: Uint8Array, more?: Uint8Array): void {
    this.#waiting.push(bytes);
    if (more) this.#waiting.push(more);
    // Never call `onDrain` within `send`: waiting bytes leave later.
    if (!this.#needsDrain) this.#flush();
  }

  /** The descriptor may be another file's by now. */
  get #isOver(): boolean {
    return this.#socket.destroyed || this.#cannotWrite;
  }

  #flush(): void {
    while (this.#waiting.length > 0 && !this.#isOver) {
      if (this.#writeOnce()) continue;
      if (!this.#needsDrain) this.#retry();
      this.#needsDrain = true;
      return;
    }
    if (this.#needsDrain) {
      this.#needsDrain = false;
      this.#events?.onDrain();
    }
    if (this.#left && this.#waiting.length === 0) this.#end(this.#left);
  }

  #end(left: () => void): void {
    this.#left = undefined;
    this.#isEnded = true;
    endSocket(this.#socket, left);
  }

  #finish(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#socket.destroy();
    // The waiting bytes can never leave.
    if (this.#left) this.#end(this.#left);
    this.#events?.onGone(this.#error);
  }

  /** Returns false if the system takes no bytes now. */
  #writeOnce(): boolean {
    const [first] = this.#waiting as [Uint8Array];
    try {
      this.#written(
        this.#waiting.length === 1 ? writeSync(this.#fd, first) : writevSync(this.#fd, this.#waiting),
      );
      return true;
    } catch (error) {
      if (wouldWait(error)) return false;
      // The event loop reports the end and its reason, after the peer's last packets.
      this.#cannotWrite = true;
      this.#waiting = [];
      return true;
    }
  }

  #written(length: number): void {
    let left = length;
    while (this.#waiting[0] && left >= this.#waiting[0].length)
      left -= (this.#waiting.shift() as Uint8Array).length;
    if (this.#waiting[0] && left > 0) this.#waiting[0] = this.#waiting[0].subarray(left);
  }

  #retry(): void {
    unref(
      setTimeout(() => {
        if (!this.#needsDrain) return;
        this.#flush();
        if (this.#needsDrain && !this.#isOver) this.#retry();
      }, RETRY_MS),
    );
  }
}

/** Whether the system call would have had to wait. */
function wouldWait(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN';
}
