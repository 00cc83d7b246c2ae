import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads';
import { setImmediate } from '../../link/machine/clock.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { startThread } from '../../link/machine/thread.js';
import { FarlightError, invariant, messageOf } from '../../proto/errors.js';
import { hasFrameMemory, spareFrame } from '../../proto/wire/memory.js';
import { PACKET_LIMIT } from '../../proto/wire/packet.js';
import { Flow, type FromWorker, type OpenRequest, SAVED, type ToWorker, type Way } from './flow.js';
import { forgetGoodbye, goodbyeAtExit, type Leaving } from './goodbye.js';
import type { Brought, Hello, Link, LinkEvents, Saved, Transport } from './transport.js';

/** How long one wait for the end of a link takes at most, in milliseconds. */
const LOOK_MS = 1;

/**
 * A link to a host across the network. A thread of its own has the connection, so frames leave while this thread
 * computes. Events arrive here in later turns of the event loop.
 */
export class WorkerLink implements Link, Leaving {
  readonly #thread: Thread;
  readonly #port: MessagePort;
  readonly #spares: MessagePort;
  readonly #flow = new Flow();
  readonly #saved = new BigInt64Array(new SharedArrayBuffer(8 * SAVED.length));
  readonly #events: LinkEvents;
  #closed = false;

  /** @throws FarlightError NOT_INSTALLED if a bundle does not find the thread's program. */
  static transport(target: string, way: Way): Transport {
    const program = packageProgram('client/transport/connection-worker.js');
    return { target, open: (hello, events, brought) => new WorkerLink(way, program, hello, events, brought) };
  }

  private constructor(way: Way, program: URL, hello: Hello, events: LinkEvents, brought?: Brought) {
    this.#events = events;
    this.#thread = connections(program);
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on('message', (message: FromWorker) => this.#receive(message));
    // A message is missing, so the messages after it are useless.
    port1.on('messageerror', (error) => this.#giveUp(messageOf(error)));
    port1.unref();
    const spares = new MessageChannel();
    this.#spares = spares.port1;
    spares.port1.on('message', spareFrame);
    spares.port1.unref();
    this.#thread.links.add(this);
    goodbyeAtExit(this);
    const request: OpenRequest = {
      port: port2,
      spares: spares.port2,
      way,
      hello,
      brought,
      flow: this.#flow.shared,
      saved: this.#saved.buffer as SharedArrayBuffer,
    };
    this.#thread.worker.postMessage(request, [port2, spares.port2]);
  }

  send(frame: Uint8Array): boolean {
    if (this.#closed || this.#flow.closed) return true;
    invariant(frame.length < PACKET_LIMIT, `a frame of ${frame.length} bytes was not split`);
    if (hasFrameMemory(frame)) this.#takeSpares();
    const room = this.#flow.credit.sent(frame.length);
    const given = frame as ToWorker & Uint8Array<ArrayBuffer>;
    this.#port.postMessage(given, [given.buffer]);
    if (!room && this.#flow.credit.resumes()) setImmediate(() => this.#drained());
    return room;
  }

  awaitRoom(): void {
    if (this.#flow.awaitRoom(() => this.#port.postMessage('beat' satisfies ToWorker))) return;
    // The thread's links learn of it in a later turn.
    this.#thread.why = 'it no longer answers';
    void this.#thread.worker.terminate();
  }

  get underWay(): number {
    return this.#flow.credit.underWay;
  }

  get saved(): Saved {
    const bytes = (way: keyof Saved) => Number(Atomics.load(this.#saved, SAVED[way]));
    return { up: bytes('up'), down: bytes('down') };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#port.postMessage('close');
  }

  ref(): void {
    this.#port.ref();
  }

  unref(): void {
    this.#port.unref();
  }

  leave(): boolean {
    return this.#flow.awaitClosed(LOOK_MS);
  }

  /** The connection thread is gone. */
  fail(reason: FarlightError): void {
    this.#finish(reason);
  }

  #receive(message: FromWorker): void {
    // Not `instanceof`: its class belongs to the realm that made the port.
    if (ArrayBuffer.isView(message)) {
      if (!this.#closed && this.#events.onFrame(message) && hasFrameMemory(message))
        this.#port.postMessage({ spare: message } satisfies ToWorker, [message.buffer]);
    } else if (message === 'drain') {
      this.#drained();
    } else if ('welcome' in message) {
      if (!this.#closed) this.#events.onWelcome(message.welcome);
    } else {
      const { closed } = message;
      this.#finish(this.#closed || !closed ? undefined : new FarlightError(closed.code, closed.message));
    }
  }

  /** Ends the link, which cannot continue in this thread. */
  #giveUp(why: string): void {
    this.close();
    this.#finish(new FarlightError('DISCONNECTED', `the connection cannot go on here: ${why}`));
  }

  /** A program that writes much at once does not reach its event loop, so spare memory is fetched here. */
  #takeSpares(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#spares);
      if (!received) return;
      spareFrame(received.message);
    }
  }

  #drained(): void {
    if (!this.#closed) this.#events.onDrain();
  }

  #finish(reason: FarlightError | undefined): void {
    if (!this.#thread.links.delete(this)) return;
    forgetGoodbye(this);
    this.#closed = true;
    this.#port.close();
    this.#spares.close();
    this.#events.onClose(reason);
  }
}

/** A connection thread with its open links, and why it ends. */
interface Thread {
  readonly worker: Worker;
  readonly links: Set<WorkerLink>;
  why: string;
}

let thread: Thread | undefined;

/** The connection thread of this process. It does not keep the process alive; the ports of links do. */
function connections(program: URL): Thread {
  if (thread) return thread;
  const worker = startThread(program, { name: 'farlight' });
  worker.unref();
  const started: Thread = { worker, links: new Set(), why: 'it was stopped' };
  thread = started;
  // Its exit comes later. By then another thread may have links.
  const gone = () => {
    if (thread === started) thread = undefined;
    const reason = new FarlightError('DISCONNECTED', `Farlight's connection thread ended: ${started.why}`);
    for (const link of [...started.links]) link.fail(reason);
  };
  worker.on('error', (error) => {
    started.why = messageOf(error);
    gone();
  });
  worker.on('exit', gone);
  return started;
}
