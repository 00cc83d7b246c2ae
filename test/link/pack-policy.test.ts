import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEAST_PACKED_BYTES, PackPolicy, pays } from '#farlight/link/channel/pack-policy.js';

const MIB = 1 << 20;
const mbits = (value: number) => (value * 1e6) / 8 / 1000;
const MS = { min: 0.01, max: 50, noNaN: true };

/** What frames of one kind do: how they pack, and how fast, in bytes per millisecond. */
interface Kind {
  length: number;
  ratio: number;
  speed: number;
}
const WEIGHTS: Kind = { length: MIB, ratio: 0.62, speed: 97_000 };
const PHOTO: Kind = { length: 442_368, ratio: 0.16, speed: 435_000 };
const RANDOM: Kind = { length: MIB, ratio: 1, speed: 1_300_000 };
const COMMANDS: Kind = { length: 4096, ratio: 0.4, speed: 150_000 };

/** Sends frames of a kind; returns how many were packed by it, tried in vain, and the milliseconds that packing took. */
function send(policy: PackPolicy, { length, ratio, speed }: Kind, count: number, bandwidth?: number) {
  const result = { packed: 0, vain: 0, ms: 0 };
  for (let i = 0; i < count; i++) {
    if (policy.choose(length, bandwidth) === 'raw') continue;
    result.ms += length / speed;
    if (policy.packed(length, ratio * length, length / speed, bandwidth)) result.packed++;
    else result.vain++;
  }
  return result;
}

describe('the packed frames', () => {
  it.each([
    ['weights at 10 Mbit/s', WEIGHTS, 10, true],
    ['weights at 100 Mbit/s', WEIGHTS, 100, true],
    ['weights at 1000 Mbit/s', WEIGHTS, 1000, false],
    ['a photo at 10 Mbit/s', PHOTO, 10, true],
    ['a photo at 100 Mbit/s', PHOTO, 100, true],
    ['a photo at 1000 Mbit/s', PHOTO, 1000, false],
    ['commands at 10 Mbit/s', COMMANDS, 10, true],
    ['commands at 1000 Mbit/s', COMMANDS, 1000, false],
    ['weights on loopback', WEIGHTS, 3000, false],
    ['a photo on loopback', PHOTO, 3000, false],
    ['random data at 10 Mbit/s', RANDOM, 10, false],
  ])('%s', (_name, kind, line, packed) => {
    const result = send(new PackPolicy('auto'), kind, 20, mbits(line));
    expect(result.packed).toBe(packed ? 20 : 0);
  });

  it('a frame is packed that can be packed while others leave, even if it would be late alone', () => {
    const policy = new PackPolicy('auto');
    send(policy, WEIGHTS, 10, mbits(10));
    const { length, speed } = WEIGHTS;
    expect(policy.choose(length, mbits(150), 0)).not.toBe('pack');
    expect(policy.choose(length, mbits(150), length / speed)).toBe('pack');
    // The peer has to unpack it all the same.
    expect(policy.choose(length, mbits(1000), 1000)).not.toBe('pack');
  });

  it('no frame is packed while the bandwidth is unknown, and never a short one', () => {
    expect(send(new PackPolicy('auto'), PHOTO, 100, undefined)).toEqual({ packed: 0, vain: 0, ms: 0 });
    for (const mode of ['auto', 'on'] as const) {
      expect(new PackPolicy(mode).choose(LEAST_PACKED_BYTES - 1, 1)).toBe('raw');
    }
  });

  it('every frame that gets shorter is packed if the client asks for it, on any line', () => {
    const policy = new PackPolicy('on');
    expect(send(policy, PHOTO, 10, undefined).packed).toBe(10);
    expect(send(policy, PHOTO, 10, mbits(10_000)).packed).toBe(10);
    expect(send(policy, RANDOM, 100, mbits(10_000)).packed).toBe(0);
  });

  it('no frame is packed that would arrive later by the figures of earlier frames', () => {
    const frame = fc.record({
      length: fc.integer({ min: LEAST_PACKED_BYTES, max: MIB }),
      ratio: fc.double({ min: 0.001, max: 1.01, noNaN: true }),
      ms: fc.double(MS),
      bandwidth: fc.double({ min: 1, max: 2_000_000, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 60 }), (frames) => {
        const policy = new PackPolicy('auto');
        for (const { length, ratio, ms, bandwidth } of frames) {
          // Even a frame that packs to nothing, at once.
          const hopeless = !pays(length, bandwidth, { ratio: 0, speed: Number.POSITIVE_INFINITY });
          const choice = policy.choose(length, bandwidth);
          if (hopeless) expect(choice).toBe('raw');
          if (choice === 'raw') continue;
          const sent = policy.packed(length, ratio * length, ms, bandwidth);
          if (sent) expect((ratio * length) / bandwidth).toBeLessThan(length / bandwidth);
          if (ratio > 0.9) expect(sent).toBe(false);
        }
      }),
    );
  });

  it('packing follows the figures of each kind of frames, on both sides of the break-even point', () => {
    const kind = fc.record({
      length: fc.integer({ min: 20_000, max: MIB }),
      ratio: fc.double({ min: 0.01, max: 0.85, noNaN: true }),
      speed: fc.double({ min: 5_000, max: 1_000_000, noNaN: true }),
    });
    fc.assert(
      fc.property(kind, fc.double({ min: 100, max: 200_000, noNaN: true }), (seen, bandwidth) => {
        const policy = new PackPolicy('auto');
        send(policy, seen, 40, mbits(1));
        const choice = policy.choose(seen.length, bandwidth);
        const { length, ratio } = seen;
        // Away from the edge, where the average is still on its way.
        if (pays(length, bandwidth, { ratio: ratio * 1.01, speed: seen.speed * 0.99 })) {
          expect(choice).toBe('pack');
        } else if (!pays(length, bandwidth, { ratio: ratio * 0.99, speed: seen.speed * 1.01 })) {
          expect(choice).not.toBe('pack');
        }
      }),
    );
  });
});

describe('packing that is slow because of other work of the machine', () => {
  it.each([1, 2, 3])('slow packing of %i frames among many does not lower the estimated speed', (hiccups) => {
    const policy = new PackPolicy('auto');
    for (let round = 0; round < 10; round++) {
      expect(send(policy, PHOTO, 1, mbits(100)).packed).toBe(1);
      expect(send(policy, { ...PHOTO, speed: 3_000 }, hiccups, mbits(100)).packed).toBe(hiccups);
    }
  });

  it.each([10, 100])(
    'packing that was slow from its first frame on is found to be fast again later, at %i Mbit/s',
    (line) => {
      const policy = new PackPolicy('auto');
      send(policy, { ...PHOTO, speed: 800 }, 100, mbits(line));
      // Trying may take 1% of the line's time, and the last slow one is what a try is taken to cost.
      const raw = PHOTO.length / mbits(line);
      const tries = Math.ceil(PHOTO.length / 800 / (0.01 * raw));
      send(policy, PHOTO, 2 * tries, mbits(line));
      expect(send(policy, PHOTO, 20, mbits(line)).packed).toBe(20);
    },
  );
});

describe('data that does not compress', () => {
  it('data that does not compress costs at most 1% of its own time on the line, at any bandwidth and speed of packing', () => {
    const cases = fc.record({
      speed: fc.double({ min: 20_000, max: 2_000_000, noNaN: true }),
      bandwidth: fc.double({ min: 100, max: 200_000, noNaN: true }),
      mode: fc.constantFrom('auto' as const, 'on' as const),
    });
    fc.assert(
      fc.property(cases, ({ speed, bandwidth, mode }) => {
        const policy = new PackPolicy(mode);
        const { ms } = send(policy, { ...RANDOM, speed }, 500, bandwidth);
        // The first frame is packed before anything is known of it.
        const first = RANDOM.length / speed;
        expect(ms - 2 * first).toBeLessThan((0.01 * 500 * RANDOM.length) / bandwidth);
      }),
    );
  });

  it('data that does not compress is tried ever more rarely', () => {
    const policy = new PackPolicy('auto');
    const slow = { ...RANDOM, speed: 40_000 };
    const early = send(policy, slow, 100, mbits(100)).vain;
    send(policy, slow, 1000, mbits(100));
    const late = send(policy, slow, 100, mbits(100)).vain;
    expect(late).toBeLessThan(early);
    expect(late).toBeGreaterThan(0);
  });

  it('data that does not compress hides only for a while that later data does', () => {
    const policy = new PackPolicy('auto');
    send(policy, RANDOM, 200, mbits(10));
    expect(send(policy, WEIGHTS, 20, mbits(10)).packed).toBeGreaterThanOrEqual(18);
  });
});
