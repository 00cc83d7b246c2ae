import type { Moved } from '../../../proto/session/handshake.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';
import { encodeCount, encodePacket, HEADER_BYTES, LENGTH_BYTES, PACKET } from '../../../proto/wire/packet.js';
import { reassure, redirect, refuse, type SessionRequest } from './front-door.js';

export interface ParkedConnectionEvents {
  /** The client has work for the session. `head` are the bytes that were read and that the session needs. */
  onWork(head: Uint8Array): void;
  /** The client has ended its session. */
  onBye(): void;
  /** The connection is closed. Nothing follows. */
  onGone(): void;
  /** The client broke the protocol. */
  onFault(why: string): void;
}

/** The most bytes of packets that wait for the session, and that are no work. */
const MOST_WAITING_BYTES = 16 << 10;

/**
 * The connection of a client whose session is parked. The client is told that its session goes on, and its pings are
 * answered. At its first frame the connection goes to an executor.
 */
export class ParkedConnection {
  readonly #request: SessionRequest;
  readonly #events: ParkedConnectionEvents;
  /** Bytes that were read, and are not looked at. */
  #bytes: Buffer = Buffer.alloc(0);
  /** Packets for the session that are no work: an offer of a shared file. */
  readonly #kept: Buffer[] = [];
  #isDone = false;
  readonly #read = (piece: Buffer) => {
    this.#bytes = this.#bytes.length === 0 ? piece : Buffer.concat([this.#bytes, piece]);
    this.#look();
  };
  readonly #drained = () => {
    if (!this.#isDone) this.#request.socket.resume();
  };
  readonly #closed = () => {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#events.onGone();
  };

  /** @param taken how many of the client's frames the session has taken. */
  constructor(request: SessionRequest, taken: number, events: ParkedConnectionEvents) {
    this.#request = request;
    this.#events = events;
    const { socket, head } = request;
    socket.on('error', () => {});
    socket.once('close', this.#closed);
    socket.on('drain', this.#drained);
    socket.write(encodeCount(PACKET.resumed, taken));
    reassure(socket, () => !this.#isDone);
    socket.on('data', this.#read);
    socket.resume();
    if (head.length > 0) this.#read(Buffer.from(head));
  }

  /** Whether no event follows. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Closes the connection. No event follows. */
  close(): void {
    this.#isDone = true;
    this.#request.socket.destroy();
  }

  /** Tells the client why its session has ended. No event follows. */
  end(end: SessionEnd): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#request.socket.off('data', this.#read);
    refuse(this.#request.socket, end);
  }

  /** Tells the client which host has its session. No event follows. */
  redirect(moved: Moved): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#request.socket.off('data', this.#read);
    redirect(this.#request.socket, moved);
  }

  #look(): void {
    while (!this.#isDone && this.#bytes.length >= HEADER_BYTES) {
      const kind = this.#bytes[LENGTH_BYTES];
      const end = LENGTH_BYTES + this.#bytes.readUInt32LE();
      if (kind === PACKET.data || kind === PACKET.packed) {
        this.#work();
        return;
      }
      if (end > MOST_WAITING_BYTES) {
        this.#fault(`a packet of kind ${kind} is not allowed while a session is parked`);
        return;
      }
      if (this.#bytes.length < end) return;
      const packet = this.#bytes.subarray(0, end);
      this.#bytes = this.#bytes.subarray(end);
      this.#take(kind, packet);
    }
  }

  #take(kind: number | undefined, packet: Buffer): void {
    const { socket } = this.#request;
    if (kind === PACKET.ping) {
      // Answers that a client does not read would be in this process's memory.
      if (!socket.write(encodePacket(PACKET.pong))) socket.pause();
    } else if (kind === PACKET.offer && this.#kept.length === 0) {
      this.#kept.push(packet);
    } else if (kind === PACKET.bye) {
      this.#isDone = true;
      // The client waits for this end to close.
      socket.end();
      this.#events.onBye();
    } else if (kind !== PACKET.pong && kind !== PACKET.ack) {
      this.#fault(`a packet of kind ${kind} is not allowed while a session is parked`);
    }
  }

  #work(): void {
    const { socket } = this.#request;
    this.#isDone = true;
    socket.off('data', this.#read);
    socket.off('close', this.#closed).off('drain', this.#drained);
    socket.pause();
    this.#events.onWork(Buffer.concat([...this.#kept, this.#bytes]));
  }

  #fault(why: string): void {
    this.#isDone = true;
    this.#events.onFault(why);
  }
}
