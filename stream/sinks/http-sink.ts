import { setTimeout } from '../../link/machine/clock.js';
import { messageOf } from '../../proto/errors.js';
import { outputText } from './output-text.js';
import { identityOf, type Output, type Sink } from './sink.js';

export interface HttpSinkOptions {
  readonly url: string;
  /** The application's name, which makes ids unique for a server that several applications write to. */
  readonly application: string;
  log(message: string): void;
}

/** How long the server may take to answer, in milliseconds. */
const ANSWER_MS = 30_000;
/** Milliseconds until an output is sent again: it doubles up to the second one. */
const RETRY_MS = [200, 10_000] as const;

/**
 * Posts each output, one after the other, until the server has taken it. After a restart, or where an answer is lost, it
 * posts an output again: so at least once, with the same `Idempotency-Key`.
 */
export class HttpSink implements Sink {
  readonly #options: HttpSinkOptions;
  readonly #closing = new AbortController();

  constructor(options: HttpSinkOptions) {
    this.#options = options;
  }

  async write(outputs: readonly Output[]): Promise<void> {
    for (const output of outputs) await this.#post(output);
  }

  mark(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  async #post(output: Output): Promise<void> {
    const { url, application, log } = this.#options;
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': `"${application}/${output.sink}/${identityOf(output)}"`,
    };
    const body = outputText(output);
    let [wait] = RETRY_MS as readonly [number, number];
    while (!this.#closing.signal.aborted) {
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(ANSWER_MS)]);
      try {
        const response = await fetch(url, { method: 'POST', headers, body, signal });
        await response.arrayBuffer();
        if (response.ok) return;
        log(`${url} answers ${response.status} to output ${identityOf(output)}: it is posted again`);
      } catch (error) {
        if (!this.#closing.signal.aborted) log(`${url} cannot be reached: ${messageOf(error)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, wait).unref());
      wait = Math.min(2 * wait, RETRY_MS[1]);
    }
    throw new Error('the sink was closed');
  }
}
