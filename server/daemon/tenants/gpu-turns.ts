export interface GpuTurnsOptions<Session> {
  /** What a tenant's share of the GPU is beside others', a number above 0; read at each decision. */
  weightOf(tenant: string): number;
  /** The session may use the GPU for so many milliseconds; 0: until it is asked to yield. */
  turn(session: Session, ms: number): void;
  /** The session's turn is to end when what it has submitted is done. */
  yield(session: Session): void;
}

/** How long a turn is where tenants compete, in milliseconds of the GPU's work. What was begun is finished. */
const TURN_MS = 20;
/**
 * A turn that has not ended after so many milliseconds keeps nobody waiting any longer; beside another one that has
 * lapsed, and which its work may have to wait for, it has the second of these times.
 */
const LAPSE_MS = 100;
const DISTURBED_LAPSE_MS = 1000;
/** For so long after it last used the GPU a tenant competes with others, in milliseconds. */
const COMPETES_MS = 1000;
/**
 * For so long after it last used the GPU a tenant that has had less than others is waited for, in milliseconds:
 * a program that waits for each of its steps comes back after a round trip.
 */
const PATIENCE_MS = 50;
/** More than so many milliseconds of the GPU's work nobody is held to have had too much. */
const MOST_DEBT_MS = 1000;

/** What was free and is done so soon has not used the GPU, in milliseconds. */
const USE_MS = 2;

type State = 'away' | 'waiting' | 'turn' | 'free' | 'yielding';

interface Seat {
  readonly tenant: Tenant;
  state: State;
  /** When it came to that state. */
  since: number;
  /** Its turn keeps nobody waiting any longer. */
  lapsed: boolean;
  /** How long turns of others that had lapsed were under way in all, when its turn began; when it lapsed, during it. */
  disturbed: number;
}

interface Tenant {
  readonly name: string;
  /** What its sessions have had, in milliseconds over its weight. */
  had: number;
  /** When it last wanted or used the GPU. */
  activeAt: number;
  sessions: number;
}

/**
 * Says whose turn it is to use the GPU. As long as the sessions of one tenant alone use it they do so freely, and
 * nothing is measured. When tenants compete, one session at a time has a turn, and the next one goes to the tenant
 * that has had the least for its weight; within a tenant, to the session that has waited longest. Since a turn has
 * the GPU to itself, the time until its work is done is what the tenant has had.
 *
 * A turn that does not end (one long submit, or a shader without end) lapses: the others go on beside it. It counts
 * for its tenant until it ends; what the others' work takes longer for it does not count for them.
 *
 * Times are milliseconds of a steady clock, which the caller gives. It decides when it is told something; `lookAt`
 * is when it wants to be told of the time alone.
 */
export class GpuTurns<Session> {
  readonly #options: GpuTurnsOptions<Session>;
  readonly #seats = new Map<Session, Seat>();
  readonly #tenants = new Map<string, Tenant>();
  /** For how long any turn that had lapsed was under way, until `#countedTo`. */
  #disturbed = 0;
  #countedTo = 0;
  /** When somebody who waits may be let in by the time alone. */
  #lookAt: number | undefined;

  constructor(options: GpuTurnsOptions<Session>) {
    this.#options = options;
  }

  /** A session has work for the GPU, and waits. It says so between turns alone. */
  want(session: Session, tenant: string, now: number): void {
    this.#pass(now);
    const seat = this.#seats.get(session) ?? this.#sit(session, tenant);
    if (seat.state !== 'away') return;
    this.#enter(seat, 'waiting', now);
    this.#revive(seat.tenant, now);
    this.#decide(now);
  }

  /** A session's turn is over, in which the GPU worked for it for so many milliseconds. */
  ended(session: Session, ms: number, now: number): void {
    const seat = this.#seats.get(session);
    if (!seat || seat.state === 'away' || seat.state === 'waiting') return;
    this.#pass(now);
    this.#charge(seat, ms, now);
    this.#enter(seat, 'away', now);
    this.#decide(now);
  }

  /** A session is over. */
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

  /** When it has to be told of the time, if nothing else comes before; undefined where that is no matter. */
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
    const seat: Seat = { tenant, state: 'away', since: 0, lapsed: false, disturbed: 0 };
    this.#seats.set(session, seat);
    return seat;
  }

  #enter(seat: Seat, state: State, now: number): void {
    seat.state = state;
    seat.since = now;
    seat.lapsed = false;
  }

  /** A tenant wants or has used the GPU. Nobody saves up time by staying away: it comes back as even with the others. */
  #revive(tenant: Tenant, now: number): void {
    const others = this.#competing(now).filter((each) => each !== tenant);
    if (now - tenant.activeAt >= COMPETES_MS) tenant.had = Math.min(...others.map(({ had }) => had));
    if (!Number.isFinite(tenant.had)) tenant.had = 0;
    tenant.activeAt = now;
  }

  #charge(seat: Seat, ms: number, now: number): void {
    const { tenant } = seat;
    // A tenant that was free is one that competes only where it used the GPU.
    if (seat.state === 'turn' || ms >= USE_MS) this.#revive(tenant, now);
    const used = Math.max(0, ms - this.#disturbanceOf(seat));
    tenant.had += used / this.#options.weightOf(tenant.name);
    const competing = this.#competing(now);
    const least = Math.min(...competing.map(({ had }) => had));
    for (const each of competing) each.had = Math.min(each.had, least + MOST_DEBT_MS);
  }

  /** Has turns lapse whose time is up, and counts how long such turns are under way. */
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

  /** For how much of a turn, until it lapsed, another was under way that had lapsed. */
  #disturbanceOf({ lapsed, disturbed }: Seat): number {
    return lapsed ? disturbed : this.#disturbed - disturbed;
  }

  #lapseOf(seat: Seat): number {
    return seat.since + Math.min(LAPSE_MS + this.#disturbanceOf(seat), DISTURBED_LAPSE_MS);
  }

  #competing(now: number): Tenant[] {
    return [...this.#tenants.values()].filter(({ activeAt }) => now - activeAt < COMPETES_MS);
  }

  /** Lets in who may go on now. */
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

  /** Whether nobody is in the way of those that wait; those that use the GPU freely are asked to yield. */
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

  /** Who of those that wait has the next turn; undefined where somebody else is waited for, who has had less. */
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
    // Beside a turn that has lapsed nobody goes on who has had more than its tenant, until that has caught up.
    const behind = [...this.#seats.values()].filter(({ lapsed, tenant }) => lapsed && hadOf(tenant) < least);
    if (behind.length > 0) {
      const catchUp = ({ tenant }: Seat) => (least - hadOf(tenant)) * this.#options.weightOf(tenant.name);
      this.#lookBy([now + Math.max(1, Math.min(...behind.map(catchUp)))]);
      return undefined;
    }
    const candidates = waiting.filter(([, { tenant }]) => hadOf(tenant) === least);
    return candidates.sort(([, a], [, b]) => a.since - b.since)[0];
  }

  /** What each tenant has had, what is under way included. */
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
