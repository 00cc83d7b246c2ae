import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeliveryRate } from '#farlight/link/channel/delivery-rate.js';

const KIB = 1024;

/** A link of so many bytes per millisecond and a round trip; frames one behind the other, as the socket takes them. */
function transfer(rate: DeliveryRate, options: { bandwidth: number; roundTrip: number; frames: number[] }) {
  const { bandwidth, roundTrip, frames } = options;
  rate.roundTrip(roundTrip);
  const events: { at: number; run(at: number): void }[] = [];
  let leaves = 0;
  for (const [index, bytes] of frames.entries()) {
    // The socket's buffer holds one frame ahead.
    const sentAt = index < 2 ? 0 : leaves - (frames[index - 1] ?? 0) / bandwidth;
    leaves += bytes / bandwidth;
    events.push({ at: sentAt, run: (at) => rate.sent(at, bytes, false) });
    events.push({ at: leaves + roundTrip, run: (at) => rate.acknowledged(at, 1) });
  }
  for (const { at, run } of events.sort((a, b) => a.at - b.at)) run(at);
}

describe('the delivery rate', () => {
  it('the rate is unknown before a long frame was acknowledged', () => {
    const rate = new DeliveryRate();
    rate.sent(0, 100 * KIB, false);
    rate.acknowledged(10, 1);
    expect(rate.bytesPerMs).toBeUndefined();
  });

  it("finds a slow link's bandwidth from frames that follow each other, whatever the round trip", () => {
    const link = fc.record({
      bandwidth: fc.double({ min: 100, max: 12_500, noNaN: true }),
      roundTrip: fc.double({ min: 0.1, max: 200, noNaN: true }),
      frames: fc.array(fc.integer({ min: 256 * KIB, max: 1024 * KIB }), { minLength: 3, maxLength: 30 }),
    });
    fc.assert(
      fc.property(link, (options) => {
        const rate = new DeliveryRate();
        transfer(rate, options);
        const found = rate.bytesPerMs ?? 0;
        expect(found / options.bandwidth).toBeLessThan(1.01);
        // The first of all shows it best where the round trip is long.
        expect(found / options.bandwidth).toBeGreaterThan(0.5);
      }),
    );
  });

  it('subtracts the round trip if a frame goes alone', () => {
    const rate = new DeliveryRate();
    rate.roundTrip(80);
    rate.sent(0, 400 * KIB, false);
    rate.acknowledged(480, 1);
    expect(rate.bytesPerMs).toBeCloseTo(KIB);
  });

  it('tells how long the bytes under way still take to leave', () => {
    const rate = new DeliveryRate();
    expect(rate.queueMs(0)).toBe(0);
    rate.roundTrip(20);
    rate.sent(0, 400 * KIB, false);
    // Nothing is known of the link yet.
    expect(rate.queueMs(5)).toBe(0);
    rate.acknowledged(420, 1);
    rate.sent(500, 400 * KIB, false);
    rate.sent(500, 400 * KIB, false);
    expect(rate.queueMs(500)).toBeCloseTo(780);
    expect(rate.queueMs(700)).toBeCloseTo(580);
    rate.acknowledged(920, 1);
    expect(rate.queueMs(920)).toBeCloseTo(380);
    expect(rate.queueMs(2000)).toBe(0);
  });

  it('acknowledgements that a busy peer sends all at once do not raise the rate', () => {
    const rate = new DeliveryRate();
    const sentAt = [0, 0, 1000, 2000, 3000];
    for (const at of sentAt.slice(0, 4)) rate.sent(at, 1000 * KIB, false);
    // The peer was busy for three seconds, and everything is there.
    rate.acknowledged(3000, 1);
    rate.sent(3000, 1000 * KIB, false);
    rate.acknowledged(3001, 3);
    rate.acknowledged(4000, 1);
    expect(rate.bytesPerMs).toBeLessThan(1.5 * KIB);
  });

  it('a peer that is busy once does not lower the rate while a better sample counts', () => {
    const rate = new DeliveryRate();
    rate.sent(0, 1000 * KIB, false);
    rate.acknowledged(10, 1);
    rate.sent(20, 1000 * KIB, false);
    rate.acknowledged(2020, 1);
    expect(rate.bytesPerMs).toBeCloseTo(100 * KIB);
    rate.sent(15_000, 1000 * KIB, false);
    rate.acknowledged(16_000, 1);
    expect(rate.bytesPerMs).toBeCloseTo(KIB);
  });

  it("the sender's own pauses do not lower the rate, however regular", () => {
    const rate = new DeliveryRate();
    rate.sent(0, 1000 * KIB, false);
    rate.acknowledged(10, 1);
    for (let at = 20; at < 30_000; at += 50) {
      rate.sent(at, 40 * KIB, true);
      // Acknowledged late, so that something is under way always.
      if (at > 120) rate.acknowledged(at + 1, 1);
    }
    expect(rate.bytesPerMs).toBeCloseTo(100 * KIB);
  });

  it('the rate has a bound before the first acknowledgement, which falls with time', () => {
    const rate = new DeliveryRate();
    expect(rate.most(5)).toBeUndefined();
    rate.sent(0, 1000 * KIB, false);
    rate.sent(1, 1000 * KIB, false);
    expect(rate.unsure).toBe(true);
    expect(rate.most(100)).toBeCloseTo(10 * KIB);
    expect(rate.most(1000)).toBeCloseTo(KIB);
    rate.acknowledged(1000, 1);
    expect(rate.unsure).toBe(false);
    expect(rate.most(2000)).toBeUndefined();
  });
});
