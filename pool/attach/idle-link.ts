import type { Brought, Link, LinkEvents, Saved, Welcome } from '../../client/transport/transport.js';
import { clearInterval, monotonicNow, setInterval } from '../../link/machine/clock.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import type { MoveOffer } from '../../proto/session/moves.js';

/** A host that has the session. */
export interface AttachedHost {
  readonly url: string;
  /** Opens the session's link, or goes on with a session that was brought there. */
  open(events: LinkEvents, brought?: Brought): Link;
  /** Gives the host back. The session's link is closed, or of no use any more. */
  release(reason: FarlightError | undefined): void;
}

/** A session that no host has. */
export interface Kept {
  readonly offer: MoveOffer;
  bring(url: string): Promise<string>;
  forget(): void;
}

export interface IdleLinkOptions {
  /** After how long without a frame the session is kept here, in milliseconds. */
  parkMs: number;
  first: AttachedHost;
  /** Finds a host of the pool. Rejects with the reason where there is none. */
  seek(): Promise<AttachedHost>;
  /** Takes the session from its host. `wants` is called last, and then no host has it. */
  take(url: string, sessionId: string, wants: (offer: MoveOffer) => boolean): Promise<Kept>;
}

/** How many looks there are in the time without a frame. */
const LOOKS = 4;
/** How many hosts are asked in turn to take the session again. One may have ended, or have a GPU that offers less. */
const MOST_HOSTS = 3;

/**
 * The link of a session whose host is given back while its program does nothing.
 *
 * States: *awake* (a host has the session) -> *taking* (the session comes here; frames wait) -> *asleep* (it is here) ->
 * *waking* (a host of the pool is found, and gets it; frames wait) -> awake. taking -> awake where the session is at work.
 * Each -> *closed*.
 */
export class IdleLink implements Link {
  readonly #options: IdleLinkOptions;
  readonly #events: LinkEvents;
  #state: 'awake' | 'taking' | 'asleep' | 'waking' | 'closed' = 'awake';
  #host: AttachedHost;
  #inner: Link;
  #kept: Kept | undefined;
  #welcome: Welcome | undefined;
  /** Frames that were given to links, and that came from them, since the session began. */
  #sent = 0;
  #received = 0;
  #waiting: Uint8Array[] = [];
  #busyAt = monotonicNow();
  #isReferenced = false;
  readonly #watch: NodeJS.Timeout;

  constructor(options: IdleLinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#host = options.first;
    this.#inner = this.#open(options.first);
    this.#watch = setInterval(() => this.#look(), options.parkMs / LOOKS);
    this.#watch.unref();
  }

  get saved(): Saved | undefined {
    return this.#inner.saved;
  }

  get underWay(): number | undefined {
    return this.#inner.underWay;
  }

  /** While no host has the session, the wait needs this thread. */
  get awaitRoom(): (() => void) | undefined {
    const { awaitRoom } = this.#inner;
    return this.#state === 'awake' ? awaitRoom?.bind(this.#inner) : undefined;
  }

  send(frame: Uint8Array): boolean {
    if (this.#state === 'closed') return true;
    this.#busyAt = monotonicNow();
    if (this.#state === 'awake') {
      this.#sent += 1;
      return this.#inner.send(frame);
    }
    this.#waiting.push(frame);
    if (this.#state === 'asleep') void this.#wake();
    return true;
  }

  close(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'awake' || this.#state === 'taking') this.#inner.close();
    else this.#finish(undefined);
  }

  ref(): void {
    this.#isReferenced = true;
    this.#inner.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#inner.unref();
  }

  #open(host: AttachedHost, brought?: Brought): Link {
    const isCurrent = () => this.#host === host && (this.#state === 'awake' || this.#state === 'taking');
    return host.open(
      {
        ...this.#events,
        onWelcome: (welcome) => {
          this.#welcome = welcome;
          this.#events.onWelcome(welcome);
        },
        onFrame: (frame) => {
          this.#received += 1;
          this.#busyAt = monotonicNow();
          return this.#events.onFrame(frame);
        },
        onDrain: () => {
          if (isCurrent()) this.#events.onDrain();
        },
        // The link of a host that was given back says so late.
        onClose: (reason) => {
          if (isCurrent()) this.#finish(reason);
        },
      },
      brought,
    );
  }

  #look(): void {
    const { parkMs } = this.#options;
    const isIdle = monotonicNow() - this.#busyAt >= parkMs && (this.#inner.underWay ?? 0) === 0;
    if (this.#state === 'awake' && this.#welcome && isIdle && !this.#isReferenced) void this.#take();
  }

  async #take(): Promise<void> {
    const host = this.#host;
    const { sessionId = '' } = this.#welcome ?? {};
    this.#state = 'taking';
    try {
      this.#kept = await this.#options.take(host.url, sessionId, ({ channel }) => {
        const isWhole = channel.taken === this.#sent && channel.acknowledged === this.#received;
        if (this.#state !== 'taking' || !isWhole) return false;
        // From here on no host has the session.
        this.#state = 'asleep';
        return true;
      });
    } catch {
      // It is at work, or cannot be stored. It is asked again when it has done nothing for so long once more.
      this.#busyAt = monotonicNow();
      if (!this.#is('taking')) return;
      this.#state = 'awake';
      for (const frame of this.#waiting.splice(0)) this.send(frame);
      return;
    }
    this.#inner.close();
    host.release(undefined);
    if (!this.#is('asleep')) this.#kept.forget();
    else if (this.#waiting.length > 0) await this.#wake();
  }

  async #wake(): Promise<void> {
    const kept = this.#kept;
    const welcome = this.#welcome;
    // Before the session has come, `#take` goes on.
    if (!kept || !welcome) return;
    this.#state = 'waking';
    try {
      const { host, sessionId } = await this.#bring(kept);
      if (!this.#is('waking')) {
        host.release(undefined);
        return;
      }
      this.#kept = undefined;
      kept.forget();
      this.#host = host;
      this.#state = 'awake';
      const { taken, acknowledged, attempt } = kept.offer.channel;
      // Shared memory is for sessions that have begun at their host.
      this.#welcome = { ...welcome, sessionId, sharedFile: false };
      const brought = { welcome: this.#welcome, taken: acknowledged, acknowledged: taken, attempt };
      this.#inner = this.#open(host, brought);
      if (this.#isReferenced) this.#inner.ref();
      for (const frame of this.#waiting.splice(0)) this.send(frame);
      this.#events.onDrain();
    } catch (error) {
      const reason = new FarlightError(
        'DISCONNECTED',
        `the session that was kept here cannot go on: ${messageOf(error)}`,
      );
      this.#finish(reason);
    }
  }

  /** Has a host of the pool take the session. @throws Error (rejects) where there is none, or with the last host's reason. */
  async #bring(kept: Kept): Promise<{ host: AttachedHost; sessionId: string }> {
    for (let asked = 1; ; asked += 1) {
      const host = await this.#options.seek();
      try {
        return { host, sessionId: await kept.bring(host.url) };
      } catch (error) {
        host.release(new FarlightError('DISCONNECTED', messageOf(error)));
        if (asked === MOST_HOSTS || !this.#is('waking')) throw error;
      }
    }
  }

  /** Read anew: the state may change while something is awaited. */
  #is(state: IdleLink['state']): boolean {
    return this.#state === state;
  }

  get state(): 'awake' | 'taking' | 'asleep' | 'waking' | 'closed' {
    return this.#state;
  }

  #finish(reason: FarlightError | undefined): void {
    if (this.#state === 'closed') return;
    const hadHost = this.#state === 'awake' || this.#state === 'taking';
    this.#state = 'closed';
    clearInterval(this.#watch);
    this.#waiting = [];
    this.#kept?.forget();
    if (hadHost) this.#host.release(reason);
    this.#events.onClose(reason);
  }
}
