import { Channel } from '../../link/channel/channel.js';
import { Connection } from '../../link/channel/connection.js';
import {
  EXECUTOR_MARK,
  ExecutorChild,
  type ExecutorChildOptions,
  type ExecutorReady,
} from '../../link/executor/executor-child.js';
import { packageProgram } from '../../link/machine/package-files.js';
import { nearCarrier } from '../../link/near/near-carrier.js';
import { SharedFrames } from '../../link/near/shared-frames.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { PROTOCOL } from '../../proto/session/version.js';
import { NOTHING, PACKET } from '../../proto/wire/packet.js';
import { NearLink, type TurnedLink } from './near-link.js';
import type { Hello, LinkEvents, Transport } from './transport.js';

export interface PrivateHostOptions {
  /** The adapter to open: `auto`, `software`, `null`, or a part of an adapter's name. */
  adapter?: string | undefined;
  /** The executor's program; ours unless a test has another. */
  entry?: URL | undefined;
  /** How long the executor may take to open its GPU, in milliseconds. Default 90 s. */
  startMs?: number | undefined;
}

/**
 * A host of this program's own: an executor process on this machine, started for each session and ended with it. The
 * session is carried by a pipe to it.
 *
 * @throws FarlightError NOT_INSTALLED where a bundle does not find the executor's program; NO_ADAPTER within an
 *   executor: each would start the next, without end.
 */
export function privateHost({
  adapter = 'auto',
  entry = packageProgram('server/executor/main.js'),
  startMs,
}: PrivateHostOptions = {}): Transport {
  if (process.env[EXECUTOR_MARK]) {
    throw new FarlightError(
      'NO_ADAPTER',
      `this process is a GPU executor of Farlight's and starts no private host; name a host with --host, or unset ${EXECUTOR_MARK} where it is none`,
    );
  }
  return {
    target: 'a private host on this machine',
    open: (hello, events) =>
      new NearLink((inner) => new PrivateLink({ adapter, entry, startMs }, hello, inner), events),
  };
}

/**
 * The link to an executor of this program. It starts at once: frames wait in the pipe until the GPU is open. It ends when
 * pipe and process are both gone: the last replies come over the pipe, and the reason comes from the process.
 */
class PrivateLink implements TurnedLink {
  readonly #child: ExecutorChild;
  readonly #events: LinkEvents;
  readonly #channel: Channel;
  /** Absent if the process could not be started, or the pipe is gone. */
  #connection: Connection | undefined;
  /** The program has closed the link. */
  #isClosing = false;
  /** Why the process is gone. */
  #exit: { reason: FarlightError | undefined } | undefined;
  /** Why it was killed from here. */
  #problem: FarlightError | undefined;

  constructor(executor: ExecutorChildOptions, hello: Hello, events: LinkEvents) {
    this.#events = events;
    this.#channel = new Channel({
      onFrame: events.onFrame,
      onTaken: events.onTaken,
      onRoom: events.onDrain,
    });
    this.#child = new ExecutorChild(
      { ...executor, piped: true },
      {
        onReady: (ready) => this.#welcome(hello, ready),
        onStuck: (reason) => {
          this.#connection?.release();
          this.#connection = undefined;
          this.#exited(reason);
        },
        onExit: (reason) => this.#exited(reason),
      },
    );
    const { pipe } = this.#child;
    if (!pipe) return;
    this.#connection = new Connection(nearCarrier(pipe), {
      channel: this.#channel,
      events: {
        // The executor's end packet. Its process reports the reason too.
        onPacket: () => {},
        onBroken: (error) => {
          const message = `the connection to the GPU executor cannot go on: ${messageOf(error)}`;
          this.#problem = new FarlightError('DISCONNECTED', message, { cause: error });
          this.#child.kill();
        },
        onGone: () => {
          this.#connection = undefined;
          this.#finish();
        },
      },
    });
    this.#channel.attach(this.#connection, 0);
    this.#child.tell({ type: 'begin', session: { program: hello.program }, head: NOTHING });
    this.#child.unref();
  }

  get underWay(): number {
    return this.#channel.keptBytes;
  }

  get hasRoom(): boolean {
    return this.#channel.hasRoom;
  }

  send(frame: Uint8Array): boolean {
    return this.#isClosing || !this.#connection || this.#channel.send(frame);
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#channel.deafen();
    const connection = this.#connection;
    if (!connection) {
      this.#finish();
      return;
    }
    this.#channel.whenSent(() => {
      connection.send(PACKET.bye, NOTHING);
      connection.end();
    });
  }

  turn(): boolean | undefined {
    return this.#connection?.turn();
  }

  /** Both sides are this package, so there is nothing to negotiate. */
  #welcome({ version }: Hello, { adapter, wgslLanguageFeatures }: ExecutorReady): void {
    this.#connection?.use(SharedFrames.offering());
    if (this.#isClosing) return;
    this.#events.onWelcome({
      protocol: PROTOCOL.max,
      version,
      sessionId: `private-${this.#child.pid}`,
      resumeMs: 0,
      adapter,
      wgslLanguageFeatures,
      activity: true,
      memory: true,
    });
  }

  #exited(reason: FarlightError | undefined): void {
    if (this.#exit) return;
    this.#exit = { reason: this.#problem ?? reason };
    this.#finish();
  }

  #finish(): void {
    if (!this.#exit) return;
    if (this.#isClosing) this.#events.onClose(undefined);
    else if (!this.#connection) this.#events.onClose(this.#exit.reason);
  }
}
