import { monotonicNow } from '../../link/machine/clock.js';
import type { Phase } from '../allocation/allocation.js';
import { countSessions, joinHost, leaveHost } from '../attach/keeper.js';
import type { HostOfTerm } from '../attach/keeper-thread.js';
import type { PoolView } from '../attach/pool-view.js';
import type { OwnTerm } from './state-file.js';

/** How often a host is asked for its sessions, in milliseconds. */
const ASK_MS = 1000;

/** A host that the portal has started, of one term. */
export interface OwnHost extends OwnTerm {
  /** Its lease is renewed; undefined until it is ready. */
  joined?: HostOfTerm | undefined;
  /** How many sessions it has, as it said last. */
  sessions: number;
  /** When it was asked last, by the steady clock; infinite while it is asked. */
  asked: number;
  /** The portal has fenced its term. */
  isEnding: boolean;
}

/** The hosts that a portal has started in one pool: for which tenants, and the renewal of their leases. */
export class OwnHosts {
  readonly #view: PoolView;
  readonly #hosts = new Map<number, OwnHost>();
  readonly #onJoin: () => void;

  /**
   * @param terms that the portal has claimed in an earlier life.
   * @param onJoin a host can be given to a program.
   */
  constructor(view: PoolView, terms: readonly OwnTerm[], onJoin: () => void) {
    this.#view = view;
    this.#onJoin = onJoin;
    for (const { slot, term, tenant } of terms) this.#add({ slot, term, tenant });
  }

  get all(): OwnHost[] {
    return [...this.#hosts.values()];
  }

  /** The portal's host in a slot; undefined where the slot has none, or another program's. */
  at(slot: number): OwnHost | undefined {
    const host = this.#hosts.get(slot);
    // The last look may be from before the portal claimed its term.
    return host && host.term >= this.#view.allocation(slot).facts.term ? host : undefined;
  }

  /** Where a host stands. */
  phaseOf({ slot, term, isEnding }: OwnHost): Phase {
    const { phase, facts } = this.#view.allocation(slot);
    if (facts.term > term) return 'ended';
    if (phase !== 'ended' && phase !== 'failed' && isEnding) return 'releasing';
    return facts.term < term ? 'queued' : phase;
  }

  /** Why it is there, for a person. */
  whyOf({ slot, term }: OwnHost): string {
    const { facts, why } = this.#view.allocation(slot);
    return facts.term < term ? 'its job is being submitted' : why;
  }

  /** Whether its job runs, and so costs. */
  isRunning({ slot, term }: OwnHost): boolean {
    const { facts } = this.#view.allocation(slot);
    return facts.term === term && facts.status?.phase === 'running' && !facts.retired;
  }

  /** Claims a slot's next term. @returns false where another program was first. */
  start(slot: number, tenant: string): boolean {
    const term = this.#view.allocation(slot).facts.term + 1;
    if (!this.#view.claim(slot, term)) return false;
    this.#add({ slot, term, tenant });
    return true;
  }

  /** Nobody renews the host's lease any more, and its job is cancelled with the next look. */
  end(host: OwnHost, why: string): void {
    const { slot, term } = host;
    this.#view.journal.write(slot, term, 'fence', { why });
    host.isEnding = true;
    this.#leave(host, true);
  }

  /** Its term is over. */
  forget(host: OwnHost): void {
    this.#leave(host, false);
    if (this.#hosts.get(host.slot) === host) this.#hosts.delete(host.slot);
    this.#view.disown(host.slot);
  }

  /** Joins hosts that are ready, and asks the others how many sessions they have. */
  look(): void {
    const now = monotonicNow();
    for (const host of this.all) {
      if (this.phaseOf(host) !== 'ready' || now - host.asked < ASK_MS) continue;
      host.asked = Number.POSITIVE_INFINITY;
      void this.#ask(host).finally(() => {
        host.asked = monotonicNow();
      });
    }
  }

  async #ask(host: OwnHost): Promise<void> {
    const { slot, term } = host;
    const { ready } = this.#view.allocation(slot).facts;
    if (!ready) return;
    const place: HostOfTerm = { folder: this.#view.journal.folder, slot, term, url: ready.url };
    const wasJoined = host.joined !== undefined;
    let didAnswer: boolean;
    if (wasJoined) {
      const sessions = await countSessions(place);
      didAnswer = sessions !== undefined;
      if (didAnswer) host.sessions = sessions ?? 0;
    } else {
      didAnswer = await joinHost(place);
      if (didAnswer) host.joined = place;
    }
    // Its term may be fenced, or over, by now.
    if (this.phaseOf(host) !== 'ready') return this.#leave(host, true);
    this.#view.answered(slot, didAnswer);
    if (didAnswer && !wasJoined) this.#onJoin();
  }

  #leave(host: OwnHost, released: boolean): void {
    const { joined } = host;
    host.joined = undefined;
    host.sessions = 0;
    if (joined) leaveHost(joined, released);
  }

  #add(term: OwnTerm): void {
    this.#hosts.set(term.slot, { ...term, sessions: 0, asked: Number.NEGATIVE_INFINITY, isEnding: false });
  }
}
