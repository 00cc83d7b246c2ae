import { clearInterval, setInterval } from '../../../link/machine/clock.js';
import { EventStream } from '../../../page/event-stream.js';
import type { Client, Portal } from '../portal.js';
import type { SecondView } from '../seconds.js';
import type { PortalView } from '../view.js';
import type { Exchange } from './exchange.js';

/** How often readers get new events, in milliseconds. */
const TELL_MS = 1000;
/** After so many times without news, readers get an event anyway: it shows that the portal is still there. */
const QUIET_TIMES = 10;

/** An event of `/v1/events`: the portal's state as the reader may see it, and the seconds that are new. */
export interface PortalEvent {
  portal: PortalView;
  seconds: SecondView[];
}

interface Reader {
  readonly client: Client;
  /** The state in its last event. */
  told: string;
  /** How many times it got no event since. */
  quiet: number;
  /** It knows the seconds before this one. */
  second: number;
}

/** The streams of `/v1/events`, with events named `portal`. */
export class Events {
  readonly #portal: Portal;
  readonly #readers = new Map<EventStream, Reader>();
  #timer: NodeJS.Timeout | undefined;

  constructor(portal: Portal) {
    this.#portal = portal;
  }

  follow({ response }: Exchange, client: Client): void {
    const stream = new EventStream(response);
    this.#readers.set(stream, { client, told: '', quiet: 0, second: 0 });
    stream.onClose(() => {
      this.#readers.delete(stream);
      if (this.#readers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    this.#timer ??= setInterval(() => this.#tell([...this.#readers.keys()]), TELL_MS).unref();
    this.#tell([stream]);
  }

  /** Ends the streams of a token that was revoked. */
  end(tokenId: string): void {
    for (const [stream, { client }] of this.#readers) if (client.tokenId === tokenId) stream.end();
  }

  #tell(streams: readonly EventStream[]): void {
    for (const stream of streams) {
      const reader = this.#readers.get(stream);
      if (!reader) continue;
      const view = this.#portal.view(reader.client);
      const isBusy = view.pools.some(
        ({ bookings, hosts }) => bookings.length > 0 || hosts.some(({ job }) => job),
      );
      const told = JSON.stringify({ ...view, now: isBusy ? view.now : 0 });
      reader.quiet += 1;
      if (told === reader.told && reader.quiet < QUIET_TIMES) continue;
      const event: PortalEvent = { portal: view, seconds: this.#portal.seconds.from(reader.second) };
      if (!stream.send('portal', JSON.stringify(event))) continue;
      Object.assign(reader, {
        told,
        quiet: 0,
        second: (event.seconds.at(-1)?.second ?? reader.second - 1) + 1,
      });
    }
  }
}
