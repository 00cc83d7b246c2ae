// Several programs act for one allocation, and anything may be late, lost, paused or killed.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Allocation,
  dutyOf,
  type Facts,
  observed,
  type Terms,
  UNKNOWN,
} from '#farlight/pool/allocation/allocation.js';
import { HostLease } from '#farlight/pool/allocation/host-lease.js';
import type { JobStatus } from '#farlight/pool/engines/engine.js';

const TERMS: Terms = { lease: 30, margin: 5, submit: 60, start: 100 };
const RUNNING: JobStatus = { phase: 'running', node: 'n', address: 'a', incarnation: '0' };

/**
 * Some programs, one allocation, its hosts and its engine, each with its own clock, where anything may be late, lost,
 * paused or killed. A turn of the test is one event somewhere.
 */
class World {
  now = 0;
  /** The journal: what is written once, for each term. */
  readonly claimed = new Map<number, number>();
  readonly jobs = new Map<number, number>();
  readonly fences = new Set<number>();
  readonly retired = new Set<number>();
  readonly hosts: SimulatedHost[] = [];
  readonly programs: SimulatedProgram[];
  mostValid = 0;

  constructor(rates: readonly number[]) {
    this.programs = rates.map((rate, number) => new SimulatedProgram(this, number, rate));
  }

  get term(): number {
    return Math.max(0, ...this.claimed.keys());
  }

  facts(): Facts {
    const { term } = this;
    const host = this.hosts[this.jobs.get(term) ?? -1];
    return {
      term,
      job: host && String(this.jobs.get(term)),
      fenced: this.fences.has(term) ? 'fenced' : undefined,
      retired: this.retired.has(term) ? { why: '', failed: false } : undefined,
      status: host?.status,
      ready: host?.isStarted ? { url: 'u' } : undefined,
    };
  }

  check(): void {
    const valid = this.hosts.filter((host) => host.isValid);
    this.mostValid = Math.max(this.mostValid, valid.length);
  }
}

class SimulatedHost {
  readonly term: number;
  readonly #world: World;
  readonly #rate: number;
  lease: HostLease | undefined;
  isOver = false;
  /** The engine has lost sight of it. */
  isLost = false;

  constructor(world: World, term: number, rate: number) {
    this.#world = world;
    this.term = term;
    this.#rate = rate;
  }

  get clock(): number {
    return this.#world.now * this.#rate;
  }

  get isStarted(): boolean {
    return this.lease !== undefined;
  }

  start(): void {
    if (!this.isOver) this.lease ??= new HostLease({ lease: TERMS.lease, idle: 1e9, first: 90 }, this.clock);
  }

  /** Ends by itself where it has to. */
  look(): void {
    if (this.lease?.reasonToEnd(1, this.clock) !== undefined) this.isOver = true;
  }

  /** A host that is paused, too, counts as valid until its own clock says that its lease is over. */
  get isValid(): boolean {
    return !this.isOver && this.lease?.isValid(this.clock) === true;
  }

  get status(): JobStatus {
    if (this.isLost) return { phase: 'ended', why: 'lost', isCertain: false };
    if (this.isOver) return { phase: 'ended', why: 'over', isCertain: true };
    return this.isStarted ? RUNNING : { phase: 'queued', why: '' };
  }
}

class SimulatedProgram {
  readonly #world: World;
  readonly #number: number;
  readonly #rate: number;
  #allocation: Allocation = UNKNOWN;
  #mine = 0;
  /** A challenge that it has, with the term; and a renewal that it has sent. */
  #challenge: { host: SimulatedHost; number: number } | undefined;
  #sent: { host: SimulatedHost; number: number }[] = [];

  constructor(world: World, number: number, rate: number) {
    this.#world = world;
    this.#number = number;
    this.#rate = rate;
  }

  get clock(): number {
    return this.#world.now * this.#rate;
  }

  get phase() {
    return this.#allocation.phase;
  }

  observe(): void {
    const facts = this.#world.facts();
    this.#allocation = observed(this.#allocation, facts, {
      now: this.clock,
      mine: this.#mine === facts.term,
    });
  }

  /** Does what was due by what it observed last, however long ago that was. */
  act(hostRate: number): void {
    const duty = dutyOf(this.#allocation, this.clock, TERMS);
    const { term } = this.#allocation.facts;
    const world = this.#world;
    if (duty.do === 'claim' && !world.claimed.has(duty.term)) {
      world.claimed.set(duty.term, this.#number);
      this.#mine = duty.term;
    } else if (duty.do === 'submit' && !world.jobs.has(term)) {
      world.jobs.set(term, world.hosts.push(new SimulatedHost(world, term, hostRate)) - 1);
    } else if (duty.do === 'fence') world.fences.add(term);
    else if (duty.do === 'retire') world.retired.add(term);
    else if (duty.do === 'cancel') {
      const host = world.hosts[world.jobs.get(term) ?? -1];
      if (host && !host.isLost) host.isOver = true;
    } else if (duty.do === 'join') {
      const host = world.hosts[world.jobs.get(term) ?? -1];
      if (host?.lease) this.#challenge ??= { host, number: host.lease.challenge(host.clock) };
    }
  }

  /** Looks for a fence, after it has got the challenge, and sends the renewal where there is none. */
  send(): void {
    const challenge = this.#challenge;
    this.#challenge = undefined;
    if (challenge && !this.#world.fences.has(challenge.host.term)) this.#sent.push(challenge);
  }

  /** A renewal arrives, if one is under way. */
  deliver(): void {
    const renewal = this.#sent.shift();
    if (renewal && !renewal.host.isOver) renewal.host.lease?.renew(renewal.number, 'one', renewal.host.clock);
  }
}

type Turn = readonly [what: string, who: number, ms: number];

/** In a round, the programs whose bits are set observe and act, and with bits 8 and 16 send and deliver renewals. */
const TURNS: fc.Arbitrary<Turn> = fc.tuple(
  fc.oneof(
    { weight: 12, arbitrary: fc.constant('round') },
    { weight: 6, arbitrary: fc.constantFrom('observe', 'act', 'send', 'deliver') },
    { weight: 2, arbitrary: fc.constantFrom('lose', 'die', 'fence') },
  ),
  fc.nat(31),
  fc.oneof({ weight: 3, arbitrary: fc.nat(3) }, { weight: 1, arbitrary: fc.nat(40) }),
);

/** Clocks run up to 2% fast or slow. The margin is a sixth of the lease. */
const RATE = fc.double({ min: 0.98, max: 1.02, noNaN: true });

function play(world: World, [what, who, ms]: Turn, hostRate: number): void {
  world.now += ms;
  world.check();
  const program = world.programs[who % world.programs.length];
  const host = world.hosts[world.hosts.length - 1 - (who % 2)];
  if (what === 'round') {
    for (const each of world.hosts) {
      each.start();
      each.look();
    }
    for (const [at, each] of world.programs.entries()) {
      if (who & (1 << at)) each.observe();
      if (who & (1 << at)) each.act(hostRate);
      if (who & 8) each.send();
      if (who & 16) each.deliver();
      world.check();
    }
  } else if (what === 'observe') program?.observe();
  else if (what === 'act') program?.act(hostRate);
  else if (what === 'send') program?.send();
  else if (what === 'deliver') program?.deliver();
  else if (what === 'lose' && host) host.isLost = true;
  else if (what === 'die' && host) host.isOver = true;
  else if (what === 'fence') world.fences.add(world.term);
  world.check();
}

describe('an allocation that several programs share', () => {
  it('never has two valid hosts, whatever is late, lost, paused or killed', () => {
    fc.assert(
      fc.property(
        fc.array(RATE, { minLength: 2, maxLength: 3 }),
        RATE,
        fc.array(TURNS, { minLength: 20, maxLength: 300 }),
        (rates, hostRate, turns) => {
          const world = new World(rates);
          for (const turn of turns) play(world, turn, hostRate);
          expect(world.mostValid).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('has a ready host again after any run of faults, once they are over', () => {
    fc.assert(
      fc.property(
        fc.array(RATE, { minLength: 2, maxLength: 3 }),
        RATE,
        fc.array(TURNS, { maxLength: 150 }),
        (rates, hostRate, turns) => {
          const world = new World(rates);
          for (const turn of turns) play(world, turn, hostRate);
          const most = world.now + 3 * (TERMS.lease + TERMS.margin + TERMS.submit + TERMS.start);
          while (world.now < most) {
            play(world, ['round', 31, 1], hostRate);
          }
          for (const program of world.programs) expect(program.phase).toBe('ready');
          expect(world.hosts.at(-1)?.isValid).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});
