import { steadyTime } from '../../../link/machine/clock.js';
import type { EventStream } from '../../../page/event-stream.js';
import { LiveEvents, type LiveState } from '../../../page/live-events.js';
import type { Client, Portal } from '../portal.js';
import type { SecondView } from '../seconds.js';
import type { PortalView } from '../view.js';
import type { Exchange } from './exchange.js';

/** An event of `/v1/events`: the portal's state as the reader may see it, and the seconds that are new. */
export interface PortalEvent {
  portal: PortalView;
  seconds: SecondView[];
}

/** The streams of `/v1/events`, with events named `portal`. */
export class Events {
  readonly #portal: Portal;
  readonly #live: LiveEvents;
  readonly #clients = new Map<EventStream, Client>();

  constructor(portal: Portal, onError: (error: unknown) => void) {
    this.#portal = portal;
    this.#live = new LiveEvents({ name: 'portal', onError });
  }

  follow({ response }: Exchange, client: Client): void {
    const stream = this.#live.follow(response, () => this.#state(client));
    this.#clients.set(stream, client);
    stream.onClose(() => this.#clients.delete(stream));
  }

  /** Ends the streams of a token that was revoked. */
  end(tokenId: string): void {
    for (const [stream, client] of this.#clients) if (client.tokenId === tokenId) stream.end();
  }

  #state(client: Client): LiveState {
    const view = this.#portal.view(client);
    const isBusy = view.pools.some(
      ({ bookings, hosts }) => bookings.length > 0 || hosts.some(({ job }) => job),
    );
    return {
      // The clock by which the portal counts its seconds.
      now: steadyTime(),
      // While somebody waits for a host or has one, the current time is news too.
      news: JSON.stringify({ ...view, now: isBusy ? view.now : 0 }),
      event: (second): PortalEvent => ({ portal: view, seconds: this.#portal.seconds.from(second) }),
    };
  }
}
