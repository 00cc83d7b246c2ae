import { pause } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import type { Nats } from '../broker/nats-connection.js';
import { outputText } from './output-text.js';
import { identityOf, type Output, type Sink } from './sink.js';

export interface NatsSinkOptions {
  readonly nats: Nats;
  readonly subject: string;
  /** The application's name, which makes ids unique for a stream that several applications write to. */
  readonly application: string;
  log(message: string): void;
}

/** Milliseconds until an output is published again: it doubles up to the second one. */
const RETRY_MS = [200, 10_000] as const;

/**
 * Publishes each output to a stream of JetStream, one after the other, until the stream has taken it. An output that is
 * published again has the same message id: the stream drops it if the first one is not older than its window of
 * duplicates.
 */
export class NatsSink implements Sink {
  readonly #options: NatsSinkOptions;
  readonly #closing = new AbortController();

  constructor(options: NatsSinkOptions) {
    this.#options = options;
  }

  async write(outputs: readonly Output[]): Promise<void> {
    for (const output of outputs) await this.#publish(output);
  }

  mark(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  /** @throws Error where it is longer than NATS takes, or the sink is closed (rejects) */
  async #publish(output: Output): Promise<void> {
    const { nats, subject, application, log } = this.#options;
    const text = Buffer.from(outputText(output));
    if (text.length > nats.mostBytes)
      throw new Error(
        `output ${identityOf(output)} has ${text.length} bytes, and NATS takes ${nats.mostBytes}: raise its max_payload`,
      );
    const msgID = `${application}/${output.sink}/${identityOf(output)}`;
    let [wait] = RETRY_MS as readonly [number, number];
    while (!this.#closing.signal.aborted) {
      try {
        await nats.jetstream.publish(subject, text, { msgID });
        return;
      } catch (error) {
        const name = (error as Error).name;
        const why = name === 'JetStreamNotEnabled' ? 'no stream takes this subject' : messageOf(error);
        log(
          `output ${identityOf(output)} could not be published to ${subject}, and is published again: ${why}`,
        );
      }
      await pause(wait, this.#closing.signal);
      wait = Math.min(2 * wait, RETRY_MS[1]);
    }
    throw new Error('the sink was closed');
  }
}
