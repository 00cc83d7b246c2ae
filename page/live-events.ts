import type { ServerResponse } from 'node:http';
import { clearInterval, setInterval } from '../link/machine/clock.js';
import { EventStream } from './event-stream.js';

/** How often readers get new events, in milliseconds. */
const TELL_MS = 1000;
/** After so many times without news, readers get an event anyway: it shows that the server is still there. */
const QUIET_TIMES = 10;

/** The state that a reader gets in an event. */
export interface LiveState {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Differs from the text before it where there is news. */
  readonly news: string;
  /** An event with this state, and with the seconds from this one on. */
  event(second: number): object;
}

export interface LiveEventsOptions {
  /** The name of the events. */
  readonly name: string;
  /** Called before the first event of a reader, and after each second's. */
  before?(): Promise<void>;
  /** A state could not be read. That is a bug, for the log. */
  onError(error: unknown): void;
}

/**
 * Keeps readers up to date, by server-sent events: the state at once, and each second what has changed. The timer runs
 * only while a stream is open.
 */
export class LiveEvents {
  readonly #options: LiveEventsOptions;
  readonly #streams = new Map<EventStream, Reader>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LiveEventsOptions) {
    this.#options = options;
  }

  /** How many streams are open. */
  get readers(): number {
    return this.#streams.size;
  }

  /** Sends a reader the states that `read` returns, until it disconnects. @returns its stream, which may be ended before. */
  follow(response: ServerResponse, read: () => LiveState): EventStream {
    const stream = new EventStream(response);
    this.#streams.set(stream, { read, second: 0, told: '', quiet: 0 });
    this.#timer ??= setInterval(() => this.#tellAll(), TELL_MS).unref();
    stream.onClose(() => {
      this.#streams.delete(stream);
      if (this.#streams.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    // First this, so that the first event is complete.
    void this.#before().then(() => this.#tell(stream));
    return stream;
  }

  /** Ends all streams. Readers come back by themselves. */
  close(): void {
    for (const stream of this.#streams.keys()) stream.end();
  }

  #tellAll(): void {
    for (const stream of this.#streams.keys()) this.#tell(stream);
    void this.#before();
  }

  #tell(stream: EventStream): void {
    const reader = this.#streams.get(stream);
    if (!reader) return;
    try {
      this.#send(stream, reader);
    } catch (error) {
      // Out of the timer an exception would end the server. The reader comes back by itself.
      this.#options.onError(error);
      stream.end();
    }
  }

  #send(stream: EventStream, reader: Reader): void {
    const { now, news, event } = reader.read();
    reader.quiet += 1;
    if (reader.told === news && reader.quiet < QUIET_TIMES) return;
    if (!stream.send(this.#options.name, JSON.stringify(event(reader.second)))) return;
    // Send a second again while it may still grow.
    Object.assign(reader, { told: news, quiet: 0, second: Math.floor(now / 1000) - 1 });
  }

  async #before(): Promise<void> {
    try {
      await this.#options.before?.();
    } catch (error) {
      this.#options.onError(error);
    }
  }
}

/** A stream's reader, and how much it has received. */
interface Reader {
  readonly read: () => LiveState;
  /** It knows the seconds before this one. */
  second: number;
  /** The news in its last event. */
  told: string;
  /** How many times it got no event since. */
  quiet: number;
}
