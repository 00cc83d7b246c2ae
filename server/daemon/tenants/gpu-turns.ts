export interface GpuTurnsOptions<Session> {
  /** A tenant's weight, a number above 0; called at each decision. */
  weightOf(tenant: string): number;
  /** The session may use the GPU for so many milliseconds; 0: until it must yield. */
  turn(session: Session, ms: number): void;
  /** The session's turn must end once its submitted work is done. */
  yield(session: Session): void;
}

/** The length of a turn where tenants compete, in milliseconds of GPU work. Work that has begun finishes. */
const TURN_MS = 20;
/**
 * A turn that has not ended after so many milliseconds lapses: the others wait for it no longer. While another turn has
 * lapsed already, and may delay this one's work, the limit grows up to the second constant.
 */
const LAPSE_MS = 100;
const DISTURBED_LAPSE_MS = 1000;
/** How long after it last used the GPU a tenant still competes with others, in milliseconds. */
const COMPETES_MS = 1000;
/**
 * How long after it last used the GPU the others wait for a tenant that has had less, in milliseconds: a program that
 * awaits each step comes back after a round trip.
 */
const PATIENCE_MS = 50;
/** The most that a tenant can be ahead of the others, in milliseconds of GPU work. */
const MOST_DEBT_MS = 1000;

/** A session without competition that is done within so many milliseconds counts as not having used the GPU. */
const USE_MS = 2;

/** A session: without work, waiting for a turn, in a turn, without competition, or asked to yield. */
type State = 'idle' | 'waiting' | 'turn' | 'free' | 'yielding';

interface Seat {
  readonly tenant: Tenant;
  state: State;
  /** When it entered that state. */
  since: number;
  /** Whether the others wait for its turn no longer. */
  lapsed: boolean;
  /** The value of `#disturbed` when its turn began; once its turn has lapsed: how long others disturbed it until then. */
  disturbed: number;
}

interface Tenant {
  readonly name: string;
  /** How much GPU time its sessions have had, in milliseconds divided by its weight. */
  had: number;
  /** When it last wanted or used the GPU. */
  activeAt: number;
  sessions: number;
}

/**
 * Decides which session may use the GPU. While only one tenant uses it, its sessions do so freely, and nothing is
 * measured. When tenants compete, one session at a time has a turn. The next turn goes to the tenant that has had the
 * least for its weight, and within a tenant to the session that has waited longest. A turn has the GPU to itself, so
 * the time until its work is done counts for its tenant.
 *
 * A turn that does not end (one long submit, or an endless shader) lapses: the others continue beside it. It counts for
 * its tenant until it ends. The time by which it delays the others' work does not count for them.
 *
 * The caller gives times in milliseconds of a steady clock. This class decides at each call; `lookAt` is when it needs
 * a call of `look` if no other call comes first.
 */
export class GpuTurns<Session> {
  readonly #options: GpuTurnsOptions<Session>;
  readonly #seats = new Map<Session, Seat>();
  readonly #tenants = new Map<string, Tenant>();
  /** How long lapsed turns were running in all, until `#countedTo`. */
  #disturbed = 0;
  #countedTo = 0;
  /** When a waiting session may get its turn merely because time has passed. */
  #lookAt: number | undefined;

  constructor(options: GpuTurnsOptions<Session>) {
    this.#options = options;
  }

  /** A session has work for the GPU, and waits. It calls this only between its turns. */
  want(session: Session, tenant: string, now: number): void {
    this.#pass(now);
    const seat = this.#seats.get(session) ?? this.#sit(session, tenant);
    if (seat.state !== 'idle') return;
    this.#enter(seat, 'waiting', now);
    this.#revive(seat.tenant, now);
    this.#decide(now);
  }

  /** How many sessions of a tenant wait for a turn. */
  waiting(tenant: string): number {
    return [...this.#seats.values()].filter((seat) => seat.tenant.name === tenant && seat.state === 'waiting')
      .length;
  }

  /** A session's turn has ended, in which the GPU worked for it for so many milliseconds. */
  ended(session: Session, ms: number, now: number): void {
    const seat = this.#seats.get(session);
    if (!seat || seat.state === 'idle' || seat.state === 'waiting') return;
    this.#pass(now);
    this.#charge(seat, ms, now);
    this.#enter(seat, 'idle', now);
    this.#decide(now);
  }

  /** A session has ended. */
  gone(session: Session, now: number): void {
    const seat = this.#seats.get(session);
    if (!seat) return;
    this.#pass(now);
    if (seat.state === 'turn' || seat.state === 'yielding') this.#charge(seat, now - seat.since, now);
    this.#seats.delete(session);
    seat.tenant.sessions -= 1;
    if (seat.tenant.sessions === 0) this.#tenants.delete(seat.tenant.name);
    this.#decide(now);
  }

  /** Time has passed. */
  look(now: number): void {
    this.#pass(now);
    this.#decide(now);
  }

  /** When `look` must be called, if no other call comes first; undefined where it need not be. */
  get lookAt(): number | undefined {
    return this.#lookAt;
  }

  #sit(session: Session, name: string): Seat {
    const tenant = this.#tenants.get(name) ?? {
      name,
      had: 0,
      activeAt: Number.NEGATIVE_INFINITY,
      sessions: 0,
    };
    this.#tenants.set(name, tenant);
    tenant.sessions += 1;
    const seat: Seat = { tenant, state: 'idle', since: 0, lapsed: false, disturbed: 0 };
    this.#seats.set(session, seat);
    return seat;
  }

  #enter(seat: Seat, state: State, now: number): void {
    seat.state = state;
    seat.since = now;
    seat.lapsed = false;
  }

  /** A tenant wants the GPU, or has used it. A tenant saves up no time while it is idle: it returns even with the others. */
  #revive(tenant: Tenant, now: number): void {
    const others = this.#competing(now).filter((each) => each !== tenant);
    if (now - tenant.activeAt >= COMPETES_MS) tenant.had = Math.min(...others.map(({ had }) => had));
    if (!Number.isFinite(tenant.had)) tenant.had = 0;
    tenant.activeAt = now;
  }

  #charge(seat: Seat, ms: number, now: number): void {
    const { tenant } = seat;
    // A tenant without competition begins to compete only if it really used the GPU.
    if (seat.state === 'turn' || ms >= USE_MS) this.#revive(tenant, now);
    const used = Math.max(0, ms - this.#disturbanceOf(seat));
    tenant.had += used / this.#options.weightOf(tenant.name);
    const competing = this.#competing(now);
    const least = Math.min(...competing.map(({ had }) => had));
    for (const each of competing) each.had = Math.min(each.had, least + MOST_DEBT_MS);
  }

  /** Lets turns lapse whose time is up, and counts how long lapsed turns run. */
  #pass(now: number): void {
    if ([...this.#seats.values()].some(({ lapsed }) => lapsed)) this.#disturbed += now - this.#countedTo;
    this.#countedTo = now;
    for (const seat of this.#seats.values()) {
      const exclusive = seat.state === 'turn' || seat.state === 'yielding';
      if (!exclusive || seat.lapsed || now < this.#lapseOf(seat)) continue;
      seat.disturbed = this.#disturbanceOf(seat);
      seat.lapsed = true;
    }
  }

  /** How long another, lapsed turn ran beside this one, until this one lapsed. */
  #disturbanceOf({ lapsed, disturbed }: Seat): number {
    return lapsed ? disturbed : this.#disturbed - disturbed;
  }

  #lapseOf(seat: Seat): number {
    return seat.since + Math.min(LAPSE_MS + this.#disturbanceOf(seat), DISTURBED_LAPSE_MS);
  }

  #competing(now: number): Tenant[] {
    return [...this.#tenants.values()].filter(({ activeAt }) => now - activeAt < COMPETES_MS);
  }

  /** Gives turns to the sessions that may have one now. */
  #decide(now: number): void {
    this.#lookAt = undefined;
    for (;;) {
      const waiting = [...this.#seats].filter(([, { state }]) => state === 'waiting');
      const first = waiting[0];
      if (!first) return;
      if (!this.#clear(first[1].tenant, waiting, now)) return;
      const next = this.#choose(waiting, now);
      if (!next) return;
      const [session, seat] = next;
      const alone = this.#competing(now).length === 1;
      seat.tenant.activeAt = now;
      this.#enter(seat, alone ? 'free' : 'turn', now);
      seat.disturbed = this.#disturbed;
      this.#options.turn(session, alone ? 0 : TURN_MS);
    }
  }

  /** Whether the GPU is free for the waiting sessions. Asks sessions that use it without competition to yield. */
  #clear(tenant: Tenant, waiting: readonly (readonly [Session, Seat])[], now: number): boolean {
    const several = waiting.some(([, seat]) => seat.tenant !== tenant) || this.#competing(now).length > 1;
    for (const [session, seat] of this.#seats) {
      if (seat.state !== 'free' || (seat.tenant === tenant && !several)) continue;
      this.#enter(seat, 'yielding', now);
      seat.disturbed = this.#disturbed;
      this.#options.yield(session);
    }
    const inTheWay = [...this.#seats.values()].filter(
      ({ state, lapsed }) => (state === 'turn' || state === 'yielding') && !lapsed,
    );
    this.#lookBy(inTheWay.map((seat) => this.#lapseOf(seat)));
    return inTheWay.length === 0;
  }

  /** The waiting session with the next turn; undefined while a tenant that has had less may still come back. */
  #choose(waiting: readonly [Session, Seat][], now: number): [Session, Seat] | undefined {
    const had = this.#hadByNow(now);
    const hadOf = (tenant: Tenant) => had.get(tenant) ?? 0;
    const least = Math.min(...waiting.map(([, { tenant }]) => hadOf(tenant)));
    const expected = this.#competing(now).filter(
      (tenant) => hadOf(tenant) + TURN_MS < least && now - tenant.activeAt < PATIENCE_MS,
    );
    if (expected.length > 0) {
      this.#lookBy([Math.max(...expected.map(({ activeAt }) => activeAt + PATIENCE_MS))]);
      return undefined;
    }
    // Beside a lapsed turn, no tenant continues that has had more than the lapsed one, until that has caught up.
    const behind = [...this.#seats.values()].filter(({ lapsed, tenant }) => lapsed && hadOf(tenant) < least);
    if (behind.length > 0) {
      const catchUp = ({ tenant }: Seat) => (least - hadOf(tenant)) * this.#options.weightOf(tenant.name);
      this.#lookBy([now + Math.max(1, Math.min(...behind.map(catchUp)))]);
      return undefined;
    }
    const candidates = waiting.filter(([, { tenant }]) => hadOf(tenant) === least);
    return candidates.sort(([, a], [, b]) => a.since - b.since)[0];
  }

  /** How much each tenant has had, running turns included. */
  #hadByNow(now: number): Map<Tenant, number> {
    const had = new Map([...this.#tenants.values()].map((tenant) => [tenant, tenant.had]));
    for (const seat of this.#seats.values()) {
      if (seat.state !== 'turn' && seat.state !== 'yielding') continue;
      const { tenant, since } = seat;
      const used = Math.max(0, now - since - this.#disturbanceOf(seat));
      had.set(tenant, (had.get(tenant) ?? 0) + used / this.#options.weightOf(tenant.name));
    }
    return had;
  }

  #lookBy(times: readonly number[]): void {
    for (const time of times) this.#lookAt = Math.min(this.#lookAt ?? time, time);
  }
}
