import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Allocation, observed, UNKNOWN } from '#farlight/pool/allocation/allocation.js';
import { choose, type Slot } from '#farlight/pool/allocation/choose.js';
import { inTurn, type Ticket, type Want } from '#farlight/pool/allocation/line.js';
import { Line } from '#farlight/pool/journal/line.js';

const ONE: Want = { hosts: 1, isExclusive: true };
const ticket = (number: number, tenant: string, want: Want = ONE): Ticket => ({
  id: String(number).padStart(16, '0'),
  number,
  tenant,
  want,
});
const numbers = (tickets: readonly Ticket[]) => tickets.map(({ number }) => number);

describe('the order of a line', () => {
  it('is that of the tickets where there is one tenant', () => {
    expect(
      numbers(
        inTurn(
          [3, 1, 2].map((number) => ticket(number, 'a')),
          new Map(),
        ),
      ),
    ).toEqual([1, 2, 3]);
  });

  it('is by turns of the tenants, and of those that have fewer hosts first', () => {
    const tickets = [ticket(1, 'a'), ticket(2, 'a'), ticket(3, 'a'), ticket(4, 'b'), ticket(5, 'b')];
    expect(numbers(inTurn(tickets, new Map()))).toEqual([1, 4, 2, 5, 3]);
    expect(numbers(inTurn(tickets, new Map([['a', 2]])))).toEqual([4, 5, 1, 2, 3]);
  });
});

describe('programs that ask at the same time', () => {
  /** Plays the pool: in each step every program that waits chooses, and some that have hosts end. */
  class World {
    readonly slots: (Ticket | undefined)[];
    readonly waiting: Ticket[];
    readonly served: Ticket[] = [];

    constructor(max: number, waiting: readonly Ticket[]) {
      this.slots = Array.from({ length: max }, () => undefined);
      this.waiting = [...waiting];
    }

    get seen(): Slot[] {
      return this.slots.map((holder, at) => ({
        slot: at,
        sessions: undefined,
        allocation: holder ? BUSY : FREE,
      }));
    }

    get held(): Map<string, number> {
      const held = new Map<string, number>();
      for (const holder of this.slots)
        if (holder) held.set(holder.tenant, (held.get(holder.tenant) ?? 0) + 1);
      return held;
    }

    /** One program looks, and takes what it may. Returns why it waits. */
    look(one: Ticket): string | undefined {
      const order = inTurn(this.waiting, this.held);
      const ahead = order.slice(0, order.indexOf(one)).map(({ want }) => want);
      const choice = choose(this.seen, { want: one.want, sessions: Number.POSITIVE_INFINITY, ahead });
      if (choice.do === 'wait') return choice.why;
      expect(choice.slots).toHaveLength(one.want.hosts);
      for (const slot of choice.slots) {
        expect(this.slots[slot]).toBeUndefined();
        this.slots[slot] = one;
      }
      this.waiting.splice(this.waiting.indexOf(one), 1);
      this.served.push(one);
      return undefined;
    }

    end(one: Ticket | undefined): void {
      for (const [slot, holder] of this.slots.entries()) if (holder === one) this.slots[slot] = undefined;
    }
  }

  const BUSY: Allocation = { ...UNKNOWN, phase: 'ready', why: '' };
  const FREE = observed(UNKNOWN, { term: 0 }, { now: 0, mine: false });

  it('get hosts by turns of their tenants, all of them, and are told how many are before them: 500 programs, 4 hosts', () => {
    const tenants = ['one', 'two', 'three', 'four', 'five'];
    // The first tenant asks 400 times before any other does.
    const tickets = Array.from({ length: 500 }, (_, at) =>
      ticket(at, at < 400 ? 'one' : (tenants[at % 5] ?? '')),
    );
    const world = new World(4, tickets);
    const whys = new Set<string | undefined>();
    let steps = 0;
    while (world.waiting.length > 0) {
      steps += 1;
      // Those behind look first: it changes nothing.
      const order = inTurn(world.waiting, world.held);
      const lookers = [...order.slice(0, 8), ...order.slice(-1)].reverse();
      for (const one of new Set(lookers)) if (world.waiting.includes(one)) whys.add(world.look(one));
      expect(world.slots.filter(Boolean)).toHaveLength(Math.min(4, 500 - world.served.length + 4));
      world.end(world.slots[steps % 4]);
    }
    expect(whys).toContain("queued: 499 programs are before it in the pool's line");
    // While the others wait, none of them is passed by more than one program of each other tenant.
    const last = Math.max(...world.served.flatMap(({ tenant }, at) => (tenant === 'two' ? [at] : [])));
    const ofTwo = tickets.filter(({ tenant }) => tenant === 'two').length;
    expect(last).toBeLessThanOrEqual(4 + 5 * (ofTwo + 1));
    for (const tenant of tenants) {
      const order = numbers(world.served.filter((each) => each.tenant === tenant));
      expect(order).toEqual([...order].sort((one, other) => one - other));
    }
  });

  it('all get their hosts, however many each needs and whoever looks first', () => {
    const asked = fc.record({
      tenant: fc.constantFrom('a', 'b', 'c'),
      hosts: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(
        fc.array(asked, { minLength: 1, maxLength: 40 }),
        fc.infiniteStream(fc.nat()),
        (all, random) => {
          const next = () => random.next().value ?? 0;
          const tickets = all.map(({ tenant, hosts }, at) =>
            ticket(at, tenant, { hosts, isExclusive: false }),
          );
          const world = new World(4, tickets);
          for (let step = 0; world.waiting.length > 0; step += 1) {
            expect(step).toBeLessThan(10_000);
            const one = world.waiting[next() % world.waiting.length];
            if (one) world.look(one);
            if (next() % 3 === 0) world.end(world.slots[next() % 4]);
          }
          expect(world.served).toHaveLength(tickets.length);
        },
      ),
    );
  });
});

describe('the line of a pool', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'line-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('gives out tickets one after the other, which all programs see', () => {
    const [one, two] = [new Line(folder, 'a'), new Line(folder, 'b/ü')];
    expect(one.look()).toEqual({ tickets: [], mine: undefined });
    one.take(ONE);
    two.take({ hosts: 3, isExclusive: false });
    const { tickets, mine } = two.look();
    expect(inTurn(tickets, new Map())).toMatchObject([
      { number: 1, tenant: 'a', want: ONE },
      { number: 2, tenant: 'b/ü', want: { hosts: 3, isExclusive: false }, id: mine },
    ]);
    expect([one.look().mine, two.has(one.claimant.ticket)]).toEqual([one.claimant.ticket, true]);
    one.leave();
    expect([two.look().tickets.length, two.has(one.claimant.ticket)]).toEqual([1, false]);
  });

  it('has a program take another ticket where others have thrown its own away', () => {
    const one = new Line(folder);
    one.take(ONE);
    rmSync(join(folder, 'line'), { recursive: true });
    expect([one.look().mine, one.hasTicket]).toEqual([undefined, false]);
    one.take(ONE);
    expect(readdirSync(join(folder, 'line'))).toHaveLength(1);
  });
});
