import { clearTimeout, monotonicNow, setImmediate, setTimeout, wallClock } from '../../link/machine/clock.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { PoolView } from '../attach/pool-view.js';
import type { Pool } from '../definition/pool-file.js';
import { lastWords } from '../host/report.js';
import { Booking, type Place, type Wish } from './booking.js';
import { Costs, gpusIn } from './costs.js';
import { endOf } from './host-log.js';
import { type OwnHost, OwnHosts } from './own-hosts.js';
import { plan, type SlotState, type TenantStanding, type Waiting } from './queue/plan.js';
import { reasons } from './queue/reasons.js';
import { RecentUse } from './queue/recent-use.js';
import type { StateFile } from './state-file.js';

/** The portal's log. */
export interface PortalLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface ServedPoolOptions {
  readonly pool: Pool;
  readonly state: StateFile;
  readonly log: PortalLog;
  /** A tenant's weight, and the most hosts that it may have at a time, as of now. */
  standing(tenant: string): Omit<TenantStanding, 'recent'>;
  onEnd(booking: Booking): void;
}

/** How often to look at the engine, in milliseconds: while a host is awaited, and while all have what they need. */
const HERE_MS = { soon: 50, later: 500 };
/** A scheduler has other users, too. */
const SCHEDULER_MS = { soon: 500, later: 3000 };
/** How often to look whether programs have gone, or all hosts were ended. */
const QUIET_MS = 1000;
/** The most bookings that wait. */
const MOST = { all: 10_000, ofTenant: 2000 };
/** How often costs are written down, in milliseconds. */
const SAVE_MS = 10_000;

/**
 * One pool of a portal: the bookings of all tenants, and the hosts that are started for them. One loop looks at the
 * engine, gives hosts to bookings as `plan` says, and writes the state down before anybody hears of it.
 *
 * States: *made* -> *running* -> *closed*. A closed one leaves its hosts: a portal that starts soon goes on with them.
 */
export class ServedPool {
  readonly pool: Pool;
  readonly view: PoolView;
  readonly hosts: OwnHosts;
  readonly costs: Costs;
  readonly #options: ServedPoolOptions;
  readonly #recent: RecentUse;
  readonly #bookings = new Map<string, Booking>();
  /** The hosts of an earlier life of the portal, until they were looked at. */
  readonly #inherited: OwnHost[];
  #mark: string;
  #accounted = monotonicNow();
  #looked = Number.NEGATIVE_INFINITY;
  #saved = monotonicNow();
  /** The state has changed since it was written down. */
  #isDirty = false;
  /** Resolves with the next writing of the state, where somebody waits for it. */
  #saving: Promise<void> | undefined;
  #wake = () => {};
  #isAwake = false;
  #closed = false;
  #running: Promise<void> | undefined;

  constructor(options: ServedPoolOptions) {
    const { pool, state } = options;
    this.#options = options;
    this.pool = pool;
    this.view = new PoolView(pool);
    this.view.journal.notePortal();
    this.#mark = this.view.journal.downMark();
    const { mark, bookings, terms, recent, costs } = state.read();
    const steady = monotonicNow();
    // All hosts were ended while no portal ran: nobody waits any more.
    for (const saved of mark === undefined || mark === this.#mark ? bookings : [])
      this.#bookings.set(saved.id, new Booking(saved, { now: saved.asked, steady, saved }));
    this.hosts = new OwnHosts(this.view, terms, () => this.wake());
    this.#inherited = this.hosts.all;
    this.#recent = new RecentUse(steady, recent);
    this.costs = new Costs(gpusIn(pool.gpu.limits.gpus), costs);
  }

  run(): void {
    this.#running ??= this.#loop();
  }

  /** Resolves when nothing of it is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    this.wake();
    await this.#running;
    this.#save();
  }

  /** Those that wait or are ready, in the order in which they came. */
  get bookings(): Booking[] {
    return [...this.#bookings.values()];
  }

  /** Those that wait for a host. */
  get waiting(): Booking[] {
    return this.bookings.filter(({ phase }) => phase === 'waiting');
  }

  booking(id: string): Booking | undefined {
    return this.#bookings.get(id);
  }

  /** Tell a program of its booking after `saved`. @throws FarlightError BUSY */
  book(wish: Wish): Booking {
    const { waiting } = this;
    const own = waiting.filter((each) => each.wish.tenant === wish.tenant);
    if (waiting.length >= MOST.all || own.length >= MOST.ofTenant) {
      const who = own.length >= MOST.ofTenant ? `${own.length} of this tenant` : String(waiting.length);
      throw new FarlightError('BUSY', `${who} wait for the pool ${this.pool.name} already; try again later`);
    }
    // Hosts that were all ended before this booking came do not end it.
    if (this.#bookings.size === 0) this.#mark = this.view.journal.downMark();
    const booking = new Booking(wish, { now: wallClock(), steady: monotonicNow() });
    this.#bookings.set(booking.id, booking);
    this.costs.count(wish.tenant, 'bookings');
    this.#isDirty = true;
    this.wake();
    return booking;
  }

  end(booking: Booking, why: string): void {
    if (this.#bookings.get(booking.id) !== booking) return;
    booking.end(why, wallClock());
    this.#bookings.delete(booking.id);
    this.#isDirty = true;
    const { id, places, wish } = booking;
    const { tenant, program } = wish;
    this.#options.log.info(
      { pool: this.pool.name, booking: id, tenant, program, hosts: places, why },
      'booking ended',
    );
    this.#options.onEnd(booking);
    this.wake();
  }

  /**
   * Resolves when the state as it is now is written down, or the log says that it cannot be. Requests of one turn of the
   * event loop share one writing.
   */
  saved(): Promise<void> {
    this.#saving ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#saving = undefined;
        this.#save();
        resolve();
      });
    });
    return this.#saving;
  }

  /** Ends all bookings, and all hosts that this portal has started. @returns how many hosts those were. */
  down(why: string): number {
    const hosts = this.hosts.all.filter(
      (host) => !host.isEnding && !['ended', 'failed'].includes(this.hosts.phaseOf(host)),
    );
    for (const booking of this.bookings) this.end(booking, why);
    for (const host of hosts) this.hosts.end(host, why);
    this.wake();
    return hosts.length;
  }

  /** Something has changed: looks at once. */
  wake(): void {
    this.#isAwake = true;
    this.#wake();
  }

  standing(tenant: string): TenantStanding {
    return { ...this.#options.standing(tenant), recent: this.#recent.of(tenant) };
  }

  async #loop(): Promise<void> {
    while (!this.#closed) {
      this.#isAwake = false;
      try {
        await this.#turn();
      } catch (error) {
        this.#options.log.error({ pool: this.pool.name, why: messageOf(error) }, 'pool failed');
        await this.#pause(QUIET_MS);
      }
      if (!this.#isAwake) await this.#pause(this.#isQuiet ? QUIET_MS : Math.min(this.#lookMs, QUIET_MS));
    }
  }

  async #turn(): Promise<void> {
    this.#obeyDown();
    // All others wait a minute for the job of a claim. This portal knows that nobody submits it any more.
    for (const host of this.#inherited.splice(0)) await this.view.abandon(host);
    await this.#look();
    // A look may take long. From here on nothing waits.
    this.#obeyDown();
    this.#account();
    this.#noticeEnds();
    this.hosts.look();
    this.#expire();
    const gifts = this.#carryOut();
    // Before a program hears of its host.
    this.#save();
    for (const give of gifts) give();
    this.#sayWhy();
  }

  /** A person has ended all hosts. */
  #obeyDown(): void {
    const mark = this.view.journal.downMark();
    if (mark !== this.#mark) this.down('all hosts of the pool were ended (farlight pool down)');
    this.#mark = mark;
  }

  async #look(): Promise<void> {
    if (this.#isQuiet || monotonicNow() - this.#looked < this.#lookMs) return;
    // A job that the engine refuses is written down as the failure of its term, and noticed with the next look.
    await this.view.look().catch((error) => {
      if (!(error instanceof FarlightError)) throw error;
    });
    this.#looked = monotonicNow();
  }

  get #isQuiet(): boolean {
    return this.#bookings.size === 0 && this.hosts.all.length === 0;
  }

  get #lookMs(): number {
    const { soon, later } = this.pool.engine.isHere ? HERE_MS : SCHEDULER_MS;
    const isAwaited = this.hosts.all.some((host) => !host.joined) || this.waiting.length > 0;
    return isAwaited ? soon : later;
  }

  #account(): void {
    const now = monotonicNow();
    const running = this.hosts.all.filter((host) => this.hosts.isRunning(host));
    this.#recent.advance(now, this.costs.advance(now - this.#accounted, running));
    this.#accounted = now;
  }

  /** Hosts whose terms are over end the bookings that had them, or one of those that waited for them. */
  #noticeEnds(): void {
    for (const host of this.hosts.all) {
      const phase = this.hosts.phaseOf(host);
      const isOver = phase === 'ended' || phase === 'failed';
      if (!isOver && phase !== 'releasing') continue;
      const { why } = this.view.allocation(host.slot);
      for (const booking of this.#bookingsOf(host)) this.end(booking, `its host has ended: ${why}`);
      if (!isOver) continue;
      const { slot, term, tenant } = host;
      this.#options.log.info({ pool: this.pool.name, slot, term, tenant, why }, 'host ended');
      if (phase === 'failed' && !host.isEnding) this.#fail(host, why);
      this.hosts.forget(host);
      this.#isDirty = true;
    }
  }

  /** A host was never ready: another one for the same program would fail too. */
  #fail({ slot, term, tenant }: OwnHost, why: string): void {
    const first = this.waiting.find(({ wish }) => wish.tenant === tenant);
    const said = lastWords(endOf(this.view.journal.logOf(slot, term)) ?? '');
    if (first) this.end(first, `the pool ${this.pool.name} got no host: ${why}${said ? ` (${said})` : ''}`);
  }

  #expire(): void {
    const { name, terms, wait } = this.pool;
    const times = { now: wallClock(), steady: monotonicNow(), lease: terms.lease };
    for (const booking of this.bookings) {
      const why = booking.reasonToEnd(times);
      if (why !== undefined) this.end(booking, why);
      else if (booking.phase === 'waiting' && times.now - booking.asked > wait)
        this.end(booking, `the pool ${name} had no host within ${wait / 1000} seconds (${booking.why})`);
    }
  }

  /** Does what is due. @returns the gifts of hosts, which programs may hear of when they are written down. */
  #carryOut(): (() => void)[] {
    const gifts = this.#givenBefore();
    const slots = this.view.slots.map((slot) => this.#stateOf(slot));
    const waiting = wanted(this.waiting);
    const { sessions } = this.pool;
    const standing = (tenant: string) => this.standing(tenant);
    for (const step of plan({ waiting, slots, sessions, standing })) {
      if (step.do === 'give') {
        const booking = this.booking(step.booking);
        const hosts = step.slots.flatMap((slot) => this.hosts.at(slot) ?? []);
        if (booking && hosts.length === step.slots.length) gifts.push(this.#gift(booking, hosts));
        continue;
      }
      const host = this.hosts.at(step.slot);
      if (step.do === 'start') {
        if (!this.hosts.start(step.slot, step.tenant)) continue;
        this.costs.count(step.tenant, 'hosts');
        this.#isDirty = true;
        this.#options.log.info(
          { pool: this.pool.name, slot: step.slot, tenant: step.tenant },
          'host asked for',
        );
        this.wake();
      } else if (host) {
        this.hosts.end(host, step.why);
        this.#looked = Number.NEGATIVE_INFINITY;
        this.wake();
      }
    }
    return gifts;
  }

  #gift(booking: Booking, hosts: readonly OwnHost[]): () => void {
    const places = hosts.map(({ slot, term }): Place => ({ slot, term }));
    booking.places = places;
    booking.ready ??= wallClock();
    this.#isDirty = true;
    const { tenant, program } = booking.wish;
    this.#options.log.info(
      { pool: this.pool.name, booking: booking.id, tenant, program, hosts: places },
      'booking ready',
    );
    const urls = hosts.map(({ joined }) => joined?.url ?? '');
    const why = places.map(({ slot }) => `host ${slot} ${this.view.allocation(slot).why}`).join(', ');
    return () => booking.give(urls, why);
  }

  /** Bookings of an earlier life of the portal that have hosts, once their leases are renewed again. */
  #givenBefore(): (() => void)[] {
    return this.bookings.flatMap((booking) => {
      const { places, urls, phase } = booking;
      if (phase !== 'ready' || urls.length > 0) return [];
      const hosts = places.flatMap(({ slot, term }) => {
        const host = this.hosts.at(slot);
        return host?.term === term ? [host] : [];
      });
      // Its host has ended while nobody looked.
      if (hosts.length < booking.wish.hosts) this.end(booking, 'its host has ended');
      else if (hosts.every(({ joined }) => joined)) return [this.#gift(booking, hosts)];
      return [];
    });
  }

  #stateOf(slot: number): SlotState {
    const host = this.hosts.at(slot);
    if (!host) {
      const { phase } = this.view.allocation(slot);
      return { slot, state: ['wanted', 'ended', 'failed'].includes(phase) ? 'free' : 'taken' };
    }
    const { tenant } = host;
    if (this.hosts.phaseOf(host) === 'releasing') return { slot, state: 'taken' };
    const held = this.#bookingsOf(host);
    if (held.length > 0)
      return { slot, state: 'held', tenant, processes: held.map(({ wish }) => wish.process) };
    return { slot, state: host.joined ? 'idle' : 'coming', tenant };
  }

  #bookingsOf({ slot, term }: OwnHost): Booking[] {
    return this.bookings.filter(({ places }) =>
      places.some((place) => place.slot === slot && place.term === term),
    );
  }

  #sayWhy(): void {
    const hosts = this.hosts.all.map((host) => ({
      tenant: host.tenant,
      phase: this.hosts.phaseOf(host),
      why: this.hosts.whyOf(host),
      isHeld: this.#bookingsOf(host).length > 0,
    }));
    const told = reasons({
      waiting: wanted(this.waiting),
      hosts,
      max: this.pool.max,
      silence: this.view.silence,
      most: (tenant) => this.standing(tenant).most,
    });
    for (const [id, { why, isComing }] of told) this.booking(id)?.say(why, isComing);
  }

  /** Writes the state down where it has changed. Costs change all the time, and wait a little. */
  #save(): void {
    const now = monotonicNow();
    const isDue = !this.#isQuiet && now - this.#saved > SAVE_MS;
    if (!this.#isDirty && !isDue && !this.#closed) return;
    const bookings = this.bookings.map(({ saved }) => saved);
    const terms = this.hosts.all.map(({ slot, term, tenant }) => ({ slot, term, tenant }));
    try {
      this.#options.state.write({
        mark: this.#mark,
        bookings,
        terms,
        recent: this.#recent.all,
        costs: this.costs.all,
      });
      this.#isDirty = false;
      this.#saved = now;
    } catch (error) {
      this.#options.log.error({ pool: this.pool.name, why: messageOf(error) }, 'state not written');
    }
  }

  #pause(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Bookings, as the plan needs them. */
function wanted(bookings: readonly Booking[]): Waiting[] {
  return bookings.map(({ id, wish: { tenant, process, hosts } }) => ({ id, tenant, process, hosts }));
}
