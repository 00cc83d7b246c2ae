import type { Duplex } from 'node:stream';
import { messageOf, ProtocolError } from '../../proto/errors.js';
import { MOVE } from '../../proto/session/moves.js';
import { decodeObject, LENGTH_BYTES, NOTHING, PACKET_LIMIT } from '../../proto/wire/packet.js';
import { native } from '../machine/globals.js';
import { type Alarm, alarm } from '../machine/timer.js';
import { PacketDecoder } from './packet-decoder.js';

/** How long the other end may be silent, in milliseconds, unless it has something to do. */
const SILENT_MS = 30_000;
/** How long it may take for one packet, in milliseconds. */
const STALLED_MS = 120_000;

/** A packet of a stream between two hosts. */
export interface MovePacket {
  readonly kind: number | undefined;
  readonly body: Uint8Array;
}

/** The packets of a stream between two hosts, where one hands a session to the other. It owns the stream. */
export class MovePackets {
  readonly #stream: Duplex;
  readonly #packets: AsyncGenerator<MovePacket>;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#packets = packetsOf(stream);
    // The reads and writes below report it.
    stream.on('error', () => {});
  }

  /**
   * Sends a packet. Resolves when the next one may follow.
   *
   * @throws Error (rejects) where the stream is closed, or the other host does not take the packet within so long.
   */
  send(kind: number, body: Uint8Array = NOTHING, stalledMs: number = STALLED_MS): Promise<void> {
    const header = Buffer.alloc(LENGTH_BYTES + 1);
    header.writeUInt32LE(body.length + 1);
    header[LENGTH_BYTES] = kind;
    return new native.Promise((resolve, reject) => {
      const late = this.#limit(stalledMs, 'took no whole packet', reject);
      this.#stream.write(header);
      this.#stream.write(body, (error) => {
        late.cancel();
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /**
   * The next packet.
   *
   * @throws Error (rejects) where the other host refuses, is silent for so long, or has gone.
   */
  async next(silentMs: number = SILENT_MS): Promise<MovePacket> {
    const late = this.#limit(silentMs, 'said nothing');
    try {
      const { value, done } = await this.#packets.next();
      if (done) throw new Error('the connection to the other host was lost');
      if (value.kind === MOVE.refused) throw new Error(reasonIn(value.body));
      return value;
    } finally {
      late.cancel();
    }
  }

  /** The body of the next packet, which must be of this kind. @throws Error (rejects) */
  async expect(kind: number, silentMs?: number): Promise<Uint8Array> {
    const packet = await this.next(silentMs);
    if (packet.kind === kind) return packet.body;
    throw new ProtocolError(`a packet of kind ${packet.kind} came where it is not allowed`);
  }

  /** Sends what was written, and closes the stream. */
  end(): void {
    this.#stream.end();
  }

  /** Closes the stream now. */
  close(): void {
    this.#stream.destroy();
  }

  /** Closes the stream after so many milliseconds, unless that is cancelled. */
  #limit(ms: number, what: string, fail: (late: Error) => void = () => {}): Alarm {
    return alarm(ms, () => {
      const late = new Error(`the other host ${what} for ${Math.round(ms / 1000)} seconds`);
      fail(late);
      this.#stream.destroy(late);
    });
  }
}

async function* packetsOf(stream: Duplex): AsyncGenerator<MovePacket> {
  const arrived: MovePacket[] = [];
  const decoder = new PacketDecoder((packet) => {
    arrived.push({ kind: packet[0], body: packet.subarray(1) });
  }, PACKET_LIMIT);
  for await (const piece of stream) {
    decoder.push(piece);
    yield* arrived.splice(0);
  }
}

function reasonIn(body: Uint8Array): string {
  try {
    const { message } = decodeObject(body);
    if (typeof message === 'string') return message;
  } catch (error) {
    return messageOf(error);
  }
  return 'it gave no reason';
}
