import type { ServerResponse } from 'node:http';

/** A reader that is so many bytes behind misses events until it has caught up. */
const MOST_WAITING = 1 << 20;
/** How soon a reader comes back whose connection was lost, in milliseconds. */
const RETRY_MS = 1000;

/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) on one response. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`retry: ${RETRY_MS}\n\n`);
  }

  /** `act` is called once, when the reader has gone or the server has closed. */
  onClose(act: () => void): void {
    this.#response.once('close', act);
  }

  /** Returns false where the reader is too far behind, and was not sent it. `json` has no line breaks. */
  send(event: string, json: string): boolean {
    if (this.#response.writableLength > MOST_WAITING) return false;
    this.#response.write(`event: ${event}\ndata: ${json}\n\n`);
    return true;
  }
}
