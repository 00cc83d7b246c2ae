import type { ServerResponse } from 'node:http';
import { clearTimeout, setTimeout } from '../link/machine/clock.js';

/** A reader that is so many bytes behind misses events until it has caught up. */
const MOST_WAITING = 1 << 20;
/** How soon a reader reconnects after it lost its connection, in milliseconds. */
const RETRY_MS = 1000;
/** How long a reader may take for the rest, in milliseconds. One that has stopped takes nothing any more. */
const LEAVE_MS = 2000;

/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) on one response. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** Calls `act` once, when the reader has disconnected or the server has closed: at once where that was before. */
  onClose(act: () => void): void {
    // No event comes where the reader has gone while the server looked up who it is.
    if (this.#response.closed) act();
    else this.#response.once('close', act);
  }

  /** Disconnects the reader. */
  end(): void {
    const late = setTimeout(() => this.#response.destroy(), LEAVE_MS).unref();
    this.onClose(() => clearTimeout(late));
    this.#response.end();
  }

  /**
   * @param json without line breaks.
   * @returns false where the reader is too far behind, and does not get the event.
   */
  send(event: string, json: string): boolean {
    if (this.#response.writableLength > MOST_WAITING) return false;
    this.#response.write(`event: ${event}\ndata: ${json}\n\n`);
    return true;
  }
}
