import { ExecutorChild } from '../../link/executor-child.js';
import { type FarlightError, invariant } from '../../proto/errors.js';
import { PROTOCOL } from '../../proto/version.js';
import type { Hello, Link, LinkEvents, Transport } from './transport.js';

export interface PrivateHostOptions {
  /** The adapter to open: `auto`, `software`, `null`, or a part of an adapter's name. */
  adapter?: string | undefined;
  /** The executor's program; ours unless a test has another. */
  entry?: URL | undefined;
}

/**
 * A host of this program's own: an executor process on this machine, started for each session and
 * ended with it. Frames go straight over a pipe; there is no gRPC on this path.
 */
export function privateHost(options: PrivateHostOptions = {}): Transport {
  return {
    target: 'a private host on this machine',
    open: (hello, events) => new PrivateLink(options, hello, events),
  };
}

class PrivateLink implements Link {
  readonly #child: ExecutorChild;
  readonly #events: LinkEvents;
  #closedHere = false;

  constructor(options: PrivateHostOptions, hello: Hello, events: LinkEvents) {
    this.#events = events;
    this.#child = new ExecutorChild(
      { adapter: options.adapter ?? 'auto', entry: options.entry },
      {
        onReady: ({ adapter, wgslLanguageFeatures }) =>
          // Both sides are this package, so there is nothing to negotiate.
          events.onWelcome({
            protocol: PROTOCOL.max,
            version: hello.version,
            sessionId: `private-${this.#child.pid}`,
            adapter,
            wgslLanguageFeatures,
          }),
        onFrame: (frame) => events.onFrame(frame),
        onDrain: () => events.onDrain(),
        onExit: (reason) => this.#onExit(reason),
      },
    );
    this.#child.unref();
    this.#child.begin({ program: hello.program });
  }

  send(frame: Uint8Array): boolean {
    return this.#child.send(frame);
  }

  close(): void {
    this.#closedHere = true;
    this.#child.end();
  }

  ref(): void {
    this.#child.ref();
  }

  unref(): void {
    this.#child.unref();
  }

  #onExit(reason: FarlightError | undefined): void {
    invariant(reason || this.#closedHere, 'a private host ends with a reason unless it was closed');
    this.#events.onClose(this.#closedHere ? undefined : reason);
  }
}
