import type { Hello, LinkEvents, Transport } from '#farlight/client/transport/transport.js';
import { FarlightError } from '#farlight/proto/errors.js';
import type { KeptContents } from '#farlight/proto/session/handshake.js';
import type { ContentStore } from '#farlight/server/contents/content-store.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';

/**
 * A transport whose frames move only when the test says so. Behind each of its links, one after the other, is a real
 * executor session that drives the GPU given.
 */
export class ScriptedTransport implements Transport {
  readonly target = 'scripted';
  readonly up: Uint8Array[] = [];
  readonly down: Uint8Array[] = [];
  readonly ends: string[] = [];
  refs = 0;
  refChanges = 0;
  closed = false;
  /** Frames from which on the link asks its sender to wait. */
  room = Number.POSITIVE_INFINITY;
  /** What has the sender wait, where the link can. */
  awaitRoom: (() => void) | undefined;
  hello: Hello | undefined;
  /** How many links it has opened. */
  links = 0;
  readonly #gpu: GPU;
  readonly #store: ContentStore | undefined;
  #executor: ExecutorSession | undefined;
  #events: LinkEvents | undefined;

  constructor(gpu: GPU, store?: ContentStore) {
    this.#gpu = gpu;
    this.#store = store;
  }

  open(hello: Hello, events: LinkEvents) {
    this.hello = hello;
    this.#events = events;
    this.links += 1;
    // What was under way went with the link before.
    this.up.length = 0;
    this.down.length = 0;
    this.#executor = new ExecutorSession(
      this.#gpu,
      { send: (frame) => this.down.push(frame), end: (_code, reason) => this.ends.push(reason) },
      { store: this.#store },
    );
    return {
      send: (frame: Uint8Array) => {
        this.up.push(frame);
        return this.up.length < this.room;
      },
      awaitRoom: () => {
        if (!this.awaitRoom) throw new Error('nothing makes room');
        this.awaitRoom();
      },
      close: () => {
        this.closed = true;
      },
      ref: () => {
        this.refs += 1;
        this.refChanges += 1;
      },
      unref: () => {
        this.refs -= 1;
        this.refChanges += 1;
      },
    };
  }

  /** Lets the event loop turn until nothing moves any more, carrying frames both ways. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet += 1) {
      await turn();
      if (this.up.length > 0 || this.down.length > 0) quiet = -1;
      this.deliverUp();
      await turn();
      this.deliverDown();
    }
  }

  /** The host's welcome, with what it keeps. */
  welcome(contents?: KeptContents, wgslLanguageFeatures: string[] = []): void {
    this.#events?.onWelcome({
      protocol: 3,
      version: '0.0.0-test',
      sessionId: 'scripted',
      resumeMs: 0,
      adapter: { name: 'fake', vendor: '', architecture: '', software: true, driver: '' },
      wgslLanguageFeatures,
      contents,
    });
  }

  deliverUp(): void {
    for (const frame of this.up.splice(0)) this.#executor?.receive(frame);
  }

  deliverDown(): void {
    for (const frame of this.down.splice(0)) this.#events?.onFrame(frame);
  }

  /** A frame that no executor of ours would send. */
  sendDown(frame: Uint8Array): void {
    this.#events?.onFrame(frame);
  }

  break(message: string): void {
    this.#events?.onClose(new FarlightError('DISCONNECTED', message));
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
