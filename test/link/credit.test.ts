import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Channel, type ChannelConnection } from '#farlight/link/channel/channel.js';
import { CREDIT_BYTES, Credit } from '#farlight/link/channel/credit.js';
import { HEADER_BYTES } from '#farlight/proto/wire/packet.js';

const MIB = 1 << 20;

describe('credit', () => {
  it('pauses a sender at its limit, and resumes it once at three quarters', () => {
    const credit = new Credit(4);
    expect([credit.sent(3), credit.sent(1)]).toEqual([true, false]);
    credit.sent(1);
    expect([credit.taken(1), credit.taken(1), credit.taken(1)]).toEqual([false, true, false]);
    expect(credit.underWay).toBe(2);
  });

  it('allows bytes within the limit, and any number if nothing is under way', () => {
    const credit = new Credit(4);
    expect([credit.allows(4), credit.allows(5)]).toEqual([true, true]);
    credit.sent(1);
    expect([credit.allows(3), credit.allows(4)]).toEqual([true, false]);
  });

  it('resumes a paused sender, in any order of sends and acknowledgements', () => {
    // A number above 0 is sent, a number below 0 is acknowledged.
    const steps = fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (each) => {
        const credit = new Credit();
        let waits = false;
        const take = (bytes: number) => {
          if (!credit.taken(bytes)) return;
          expect(waits, 'never resumes a sender that is not paused').toBe(true);
          waits = false;
        };
        for (const step of each) {
          if (step > 0) waits = !credit.sent(step * MIB) || waits;
          else take(Math.min(credit.underWay, -step * MIB));
        }
        take(credit.underWay);
        expect(waits).toBe(false);
      }),
    );
  });
});

interface Line {
  bytesPerMs: number;
  roundTripMs: number;
  /** How long the host executes a frame. */
  executeMs?: number;
}

/** A program writes as fast as it can, in simulated time. Returns the time, and the most bytes that it kept. */
function write(frames: number, { bytesPerMs, roundTripMs, executeMs = 0 }: Line) {
  const events: { at: number; act: () => void }[] = [];
  let now = 0;
  const at = (time: number, act: () => void) => {
    const next = events.findIndex((event) => event.at > time);
    events.splice(next < 0 ? events.length : next, 0, { at: time, act });
  };
  const line = (receiver: () => Channel): ChannelConnection => {
    let free = 0;
    return {
      send(kind, body) {
        free = Math.max(free, now) + (HEADER_BYTES + body.length) / bytesPerMs;
        at(free + roundTripMs / 2, () => receiver().receive(kind, body));
        return true;
      },
    };
  };
  const frame = new Uint8Array(MIB);
  let left = frames;
  let keptMost = 0;
  const make = () => {
    for (let more = true; more && left > 0; left -= 1) {
      more = client.send(frame);
      keptMost = Math.max(keptMost, client.keptBytes);
    }
  };
  const client: Channel = new Channel({ onFrame: () => {}, onRoom: make });
  const host: Channel = new Channel({
    onFrame: () => {
      if (executeMs === 0) return;
      host.hold(true);
      at(now + executeMs, () => host.hold(false));
    },
  });
  client.attach(
    line(() => host),
    0,
  );
  host.attach(
    line(() => client),
    0,
  );
  make();
  while (client.keptBytes > 0) {
    const next = events.shift();
    if (!next) throw new Error(`${client.keptBytes} bytes are left under way, and nothing moves`);
    now = next.at;
    next.act();
  }
  return { ms: now, keptMost };
}

const GBIT = 125_000;

describe('a program that writes as fast as it can', () => {
  it.each([
    ['1 Gbit/s at 100 ms', { bytesPerMs: GBIT, roundTripMs: 100 }],
    ['1 Gbit/s at 30 ms', { bytesPerMs: GBIT, roundTripMs: 30 }],
    ['2 Gbit/s at 0.2 ms', { bytesPerMs: 2 * GBIT, roundTripMs: 0.2 }],
    ['100 Mbit/s at 100 ms', { bytesPerMs: GBIT / 10, roundTripMs: 100 }],
  ])('a fast writer fills a line of %s, and keeps at most 17 MiB', (_, line) => {
    const { ms, keptMost } = write(400, line);
    const share = (400 * MIB) / line.bytesPerMs / (ms - line.roundTripMs);
    expect(share).toBeGreaterThan(0.95);
    expect(keptMost).toBeLessThanOrEqual(CREDIT_BYTES + MIB);
  });

  it('a fast writer fills a longer line as far as the limit allows', () => {
    const { ms } = write(400, { bytesPerMs: GBIT, roundTripMs: 300 });
    expect((400 * MIB) / ms / (CREDIT_BYTES / 300)).toBeGreaterThan(0.8);
  });

  it('a fast writer is as fast as a slow host, and keeps no more bytes', () => {
    const { ms, keptMost } = write(200, { bytesPerMs: GBIT, roundTripMs: 10, executeMs: 50 });
    expect(200 * 50).toBeGreaterThan(0.98 * ms);
    expect(keptMost).toBeLessThanOrEqual(CREDIT_BYTES + MIB);
  });
});
