import { ChannelSocket } from '../../link/channel/channel-socket.js';
import { EXECUTOR_MARK, ExecutorChild, executorEntry } from '../../link/executor/executor-child.js';
import { SharedFile } from '../../link/near/shared-file.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { PROTOCOL } from '../../proto/version.js';
import { encodePacket, PACKET } from '../../proto/wire/packet.js';
import { ChannelLink } from './channel-link.js';
import { NearLink, type TurnedLink } from './near-link.js';
import type { Hello, LinkEvents, Transport } from './transport.js';

export interface PrivateHostOptions {
  /** The adapter to open: `auto`, `software`, `null`, or a part of an adapter's name. */
  adapter?: string | undefined;
  /** The executor's program; ours unless a test has another. */
  entry?: URL | undefined;
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
  entry = executorEntry(),
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
      new NearLink((inner) => new PrivateLink({ adapter, entry }, hello, inner), events),
  };
}

class PrivateLink implements TurnedLink {
  readonly #child: ExecutorChild;
  readonly #events: LinkEvents;
  readonly #out: ChannelLink;
  /** Absent where the process could not be started. */
  readonly #connection: ChannelSocket | undefined;
  #closedHere = false;
  #gone = false;
  /** Why the process is gone. */
  #exit: { reason: FarlightError | undefined } | undefined;
  /** Why it was killed from here. */
  #problem: FarlightError | undefined;

  constructor(executor: { adapter: string; entry: URL }, hello: Hello, events: LinkEvents) {
    this.#events = events;
    this.#child = new ExecutorChild(
      { ...executor, piped: true },
      {
        onReady: ({ adapter, wgslLanguageFeatures }) => {
          this.#connection?.offer(SharedFile.make());
          // Both sides are this package, so there is nothing to negotiate.
          events.onWelcome({
            protocol: PROTOCOL.max,
            version: hello.version,
            sessionId: `private-${this.#child.pid}`,
            resumeMs: 0,
            adapter,
            wgslLanguageFeatures,
            activity: true,
          });
        },
        onExit: (reason) => {
          this.#exit = { reason: this.#problem ?? reason };
          this.#finish();
        },
      },
    );
    const { pipe } = this.#child;
    this.#out = new ChannelLink(events, () => !this.#closedHere);
    if (!pipe) {
      this.#gone = true;
      return;
    }
    const connection = new ChannelSocket(pipe, {
      channel: this.#out.channel,
      events: {
        // The executor's end; its process says why as well, and how it went.
        onPacket: () => {},
        onBroken: (error) => {
          const message = `the connection to the GPU executor cannot go on: ${messageOf(error)}`;
          this.#problem = new FarlightError('DISCONNECTED', message, { cause: error });
          this.#child.kill();
        },
        onGone: () => {
          this.#gone = true;
          this.#finish();
        },
      },
    });
    this.#connection = connection;
    this.#out.channel.attach(connection, 0);
    this.#child.begin({ program: hello.program });
    this.#child.unref();
  }

  get underWay(): number {
    return this.#out.channel.keptBytes;
  }

  send(frame: Uint8Array): boolean {
    if (this.#closedHere || this.#gone) return true;
    return this.#out.send(frame);
  }

  close(): void {
    if (this.#closedHere) return;
    this.#closedHere = true;
    const connection = this.#connection;
    if (!connection) return;
    this.#out.channel.whenSent(() => {
      connection.write(encodePacket(PACKET.bye));
      connection.end();
      this.#gone = true;
    });
  }

  turn(): boolean | undefined {
    return this.#connection?.turn();
  }

  /** The last replies come over the pipe, and why it ended over another channel: both have to close. */
  #finish(): void {
    if (!this.#exit) return;
    if (this.#closedHere) this.#events.onClose(undefined);
    else if (this.#gone) this.#events.onClose(this.#exit.reason);
  }
}
