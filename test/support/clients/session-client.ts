import type { Hello, Link, Transport, Welcome } from '#farlight/client/transport/transport.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import type { FarlightError } from '#farlight/proto/errors.js';

export const HELLO: Hello = { protocolMin: 3, protocolMax: 3, version: '0.0.0-test', program: 'test' };

/** A session's link with its events as promises. */
export class SessionClient {
  readonly link: Link;
  readonly log: string[] = [];
  readonly #welcome = deferred<Welcome>();
  readonly #closed = deferred<FarlightError | undefined>();
  readonly #frames: Uint8Array[] = [];
  #wake: (() => void) | undefined;
  #drained: (() => void) | undefined;

  constructor(transport: Transport, hello: Hello = HELLO) {
    this.link = transport.open(hello, {
      onWelcome: (value) => {
        this.log.push('welcome');
        this.#welcome.resolve(value);
      },
      onFrame: (frame) => {
        this.log.push('frame');
        this.#frames.push(frame);
        this.#wake?.();
      },
      onDrain: () => {
        this.log.push('drain');
        this.#drained?.();
      },
      onClose: (reason) => {
        this.log.push('close');
        this.#closed.resolve(reason);
      },
    });
    this.link.ref();
  }

  get welcome(): Promise<Welcome> {
    return this.#welcome.promise;
  }

  get closed(): Promise<FarlightError | undefined> {
    return this.#closed.promise;
  }

  /** The next frame of replies that was not taken yet. */
  async next(): Promise<Uint8Array> {
    while (this.#frames.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#frames.shift() as Uint8Array;
  }

  /** Sends a frame, waiting first where the link asks for it. */
  async send(frame: Uint8Array): Promise<void> {
    if (this.link.send(frame)) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  /** Sends bytes and returns the executor's answer. */
  ask(...bytes: number[]): Promise<Uint8Array> {
    this.link.send(Uint8Array.from(bytes));
    return this.next();
  }
}
