/**
 * Reads server-sent events from a text that arrives in pieces
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html). It knows only what a server's page sends:
 * events with a name and one line of data.
 */
export class EventReader {
  readonly #onEvent: (name: string, data: string) => void;
  #rest = '';

  constructor(onEvent: (name: string, data: string) => void) {
    this.#onEvent = onEvent;
  }

  push(text: string): void {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line): [string, string] => {
          const colon = line.indexOf(':');
          return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
        }),
      );
      const data = fields.get('data');
      if (data !== undefined) this.#onEvent(fields.get('event') ?? 'message', data);
    }
  }
}
