import { ProtocolError } from '../../proto/errors.js';
import type { SharedFileOffer } from '../../proto/session/handshake.js';
import {
  decodeCount,
  decodeObject,
  decodePlace,
  objectBody,
  PACKET,
  type PacketKind,
  placeBody,
} from '../../proto/wire/packet.js';
import type { FormLine, FrameForm } from '../channel/connection.js';
import { SharedFile } from './shared-file.js';

/** A shorter frame is not worth the two extra system calls for a shared file. */
const PLACED_BYTES = 64 << 10;

/**
 * Places long frames in a file of memory that both ends have open; the connection carries only their place. The client
 * makes the file and offers its name. The host opens it, or replies that it cannot; then frames travel unchanged. This
 * object owns the file.
 */
export class SharedFrames implements FrameForm {
  readonly kind: PacketKind = PACKET.placed;
  /** The offered file, until the peer replies. */
  #offered: { file: SharedFile | undefined } | undefined;
  /** The file, once both ends have it open. */
  #file: SharedFile | undefined;
  #carrierFull = false;
  #line: FormLine | undefined;

  /** Whether this side makes the file. */
  readonly #isMaker: boolean;

  private constructor(offered?: { file: SharedFile | undefined }) {
    this.#offered = offered;
    this.#isMaker = offered !== undefined;
  }

  /** Offers a file to the peer, or reports that none can be made. */
  static offering(file: SharedFile | undefined = SharedFile.make()): SharedFrames {
    return new SharedFrames({ file });
  }

  /** Opens the file that the peer offers. */
  static opening(): SharedFrames {
    return new SharedFrames();
  }

  /** Whether both ends have a file. Stays true when the connection is gone. */
  get isPlaced(): boolean {
    return this.#file !== undefined;
  }

  start(line: FormLine): void {
    this.#line = line;
    if (!this.#offered) return;
    const { name = '' } = this.#offered.file ?? {};
    line.send(PACKET.offer, objectBody({ name } satisfies SharedFileOffer));
  }

  encode(frame: Uint8Array): Uint8Array | undefined {
    if (!this.#file || frame.length < PLACED_BYTES) return undefined;
    const slot = this.#file.place(frame, this.#line?.sending ?? 0);
    return slot === undefined ? undefined : placeBody(slot, frame.length);
  }

  sent(_bytes: number, more: boolean): boolean {
    this.#carrierFull = !more;
    return more && !this.#file?.full;
  }

  drained(): boolean {
    this.#carrierFull = false;
    return !this.#file?.full;
  }

  decode(body: Uint8Array): Uint8Array {
    const { slot, length } = decodePlace(body);
    if (!this.#file) throw new ProtocolError('no file is shared');
    return this.#file.take(slot, length);
  }

  hear(kind: number | undefined, body: Uint8Array): boolean {
    if (kind === PACKET.ack) {
      if (this.#file?.release(decodeCount(body)) && !this.#carrierFull) this.#line?.goOn();
      return false;
    }
    if (kind === PACKET.offer && !this.#isMaker) this.#open(body);
    else if (kind === PACKET.offerReply && this.#offered) this.#answered(this.#offered.file, body);
    else return false;
    return true;
  }

  recover(number: number, length: number): Uint8Array | undefined {
    return this.#file?.recover(number, length);
  }

  close(): void {
    this.#line = undefined;
    this.#offered?.file?.forget();
    this.#offered?.file?.close();
    this.#file?.close();
  }

  #open(body: Uint8Array): void {
    if (this.#file) throw new ProtocolError('a second file is offered');
    const { name } = decodeObject(body);
    if (typeof name === 'string') this.#file = SharedFile.open(name);
    this.#line?.allowSilence();
    this.#line?.send(PACKET.offerReply, Uint8Array.of(this.#file ? 1 : 0));
  }

  #answered(file: SharedFile | undefined, [opened]: Uint8Array): void {
    this.#offered = undefined;
    file?.forget();
    if (opened === 1) this.#file = file;
    else file?.close();
    if (this.#file) this.#line?.allowSilence();
  }
}
