import { Channel } from '../../link/channel/channel.js';
import { HIGH_WATER_BYTES, LOW_WATER_BYTES } from '../../proto/wire/limits.js';
import { spareFrame } from '../../proto/wire/memory.js';
import type { LinkEvents } from './transport.js';

/** A channel as the sending end of a link: says when to wait, and when to go on. */
export class ChannelLink {
  readonly channel: Channel;
  #mustDrain = false;

  /** `wanted` says whether anybody still listens. */
  constructor(events: LinkEvents, wanted: () => boolean) {
    this.channel = new Channel({
      onFrame: (frame) => {
        if (wanted() && events.onFrame(frame)) spareFrame(frame);
      },
      onTaken: (bytes, frames) => {
        events.onTaken?.(bytes, frames);
        if (!this.#mustDrain || this.channel.keptBytes > LOW_WATER_BYTES) return;
        this.#mustDrain = false;
        if (wanted()) events.onDrain();
      },
    });
  }

  send(frame: Uint8Array): boolean {
    this.channel.send(frame);
    this.#mustDrain ||= this.channel.keptBytes >= HIGH_WATER_BYTES;
    return !this.#mustDrain;
  }
}
