import { Channel } from '../../proto/wire/channel.js';
import type { LinkEvents } from './transport.js';

/** The bytes that the peer has not taken before `send` asks its caller to wait. */
const SEND_WATERMARK = 16 << 20;

/** A channel as the sending end of a link: says when to wait, and when to go on. */
export class ChannelLink {
  readonly channel: Channel;
  #mustDrain = false;

  /** `wanted` says whether anybody still listens. */
  constructor(events: LinkEvents, wanted: () => boolean) {
    this.channel = new Channel({
      onFrame: (frame) => {
        if (wanted()) events.onFrame(frame);
      },
      onTaken: (bytes) => {
        events.onTaken?.(bytes);
        if (!this.#mustDrain || this.channel.keptBytes > SEND_WATERMARK / 2) return;
        this.#mustDrain = false;
        if (wanted()) events.onDrain();
      },
    });
  }

  send(frame: Uint8Array): boolean {
    this.channel.send(frame);
    this.#mustDrain ||= this.channel.keptBytes >= SEND_WATERMARK;
    return !this.#mustDrain;
  }
}
