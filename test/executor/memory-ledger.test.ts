import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryLedger } from '#farlight/server/executor/limits/memory-ledger.js';

describe("the account of a session's memory", () => {
  it('has the peak of what was used since it was reset, exactly', () => {
    const ledger = new MemoryLedger();
    ledger.take(60);
    ledger.take(40);
    ledger.giveBack(60, 0);
    ledger.take(10);
    expect(ledger.peak).toBe(100);
    expect(ledger.resetPeak()).toEqual({ peak: 100, used: 50 });
    expect(ledger.peak).toBe(50);
    ledger.giveBack(40, 0);
    ledger.take(35);
    expect(ledger.resetPeak()).toEqual({ peak: 50, used: 45 });
    ledger.take(15);
    expect(ledger.resetPeak()).toEqual({ peak: 60, used: 60 });
  });

  it('draws from the reservation first, which what is destroyed fills again', () => {
    const ledger = new MemoryLedger();
    ledger.take(20);
    ledger.reserve(100);
    expect([ledger.claimed, ledger.claimedWith(100), ledger.claimedWith(130)]).toEqual([120, 120, 150]);
    const drawn = ledger.take(70);
    expect([drawn, ledger.reserved, ledger.claimed]).toEqual([70, 30, 120]);
    expect(ledger.take(50)).toBe(30);
    expect([ledger.reserved, ledger.claimed]).toEqual([0, 140]);
    ledger.giveBack(70, drawn);
    expect([ledger.reserved, ledger.claimed]).toEqual([70, 140]);
    // What was made before the reservation goes back to the tenant.
    ledger.giveBack(20, 0);
    expect([ledger.reserved, ledger.claimed]).toEqual([70, 120]);
  });

  it('leaves what objects use to them when the reservation is released', () => {
    const ledger = new MemoryLedger();
    ledger.reserve(100);
    const drawn = ledger.take(60);
    ledger.release(100);
    expect([ledger.used, ledger.reserved]).toEqual([60, 0]);
    ledger.giveBack(60, drawn);
    expect([ledger.used, ledger.reserved]).toEqual([0, 0]);
  });

  it('takes it for a mistake of the peer where more is released than is reserved', () => {
    const ledger = new MemoryLedger();
    ledger.reserve(10);
    expect(() => ledger.release(11)).toThrow(/11 bytes are released, and fewer are reserved/);
    ledger.take(10);
    ledger.release(10);
    expect(() => ledger.release(1)).toThrow();
  });

  it('claims what is used and no more than was reserved beside it, in any order of events', () => {
    const step = fc.record({ kind: fc.integer({ min: 0, max: 3 }), bytes: fc.integer({ min: 1, max: 100 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ledger = new MemoryLedger();
        const objects: { bytes: number; drawn: number }[] = [];
        const reservations: number[] = [];
        let peak = 0;
        for (const { kind, bytes } of steps) {
          const before = ledger.claimed;
          if (kind === 0) {
            const expected = ledger.claimedWith(bytes);
            objects.push({ bytes, drawn: ledger.take(bytes) });
            expect(ledger.claimed).toBe(expected);
          } else if (kind === 1) {
            const object = objects.splice(bytes % (objects.length || 1), 1)[0];
            if (object) ledger.giveBack(object.bytes, object.drawn);
            expect(ledger.claimed).toBeLessThanOrEqual(before);
          } else if (kind === 2) {
            reservations.push(bytes);
            ledger.reserve(bytes);
            expect(ledger.claimed).toBe(before + bytes);
          } else {
            const released = reservations.pop();
            if (released !== undefined) ledger.release(released);
            expect(ledger.claimed).toBeLessThanOrEqual(before);
          }
          const used = objects.reduce((sum, object) => sum + object.bytes, 0);
          const reserved = reservations.reduce((sum, each) => sum + each, 0);
          peak = Math.max(peak, used);
          expect([ledger.used, ledger.peak]).toEqual([used, peak]);
          expect(ledger.reserved).toBeGreaterThanOrEqual(0);
          expect(ledger.reserved).toBeLessThanOrEqual(reserved);
        }
        for (const released of reservations) ledger.release(released);
        expect(ledger.reserved).toBe(0);
      }),
    );
  });
});
