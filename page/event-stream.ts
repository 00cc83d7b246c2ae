import type { ServerResponse } from 'node:http';

/** A reader that is so many bytes behind misses events until it has caught up. */
const MOST_WAITING = 1 << 20;
/** How soon a reader reconnects after it lost its connection, in milliseconds. */
const RETRY_MS = 1000;

/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) on one response. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** Calls `act` once, when the reader has disconnected or the server has closed. */
  onClose(act: () => void): void {
    this.#response.once('close', act);
  }

  /** Disconnects the reader. */
  end(): void {
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
