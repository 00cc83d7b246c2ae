import type { CompressionMode } from '../../proto/session/compression.js';

/** A shorter frame is never packed: it would save less than one packet of the network. */
export const LEAST_PACKED_BYTES = 512;
/** Frames up to this many bytes are one class, longer ones another, because commands and uploads pack differently. */
const SMALL_BYTES = 16 << 10;
/** A packed frame must arrive in this share of the raw frame's time. */
const MARGIN = 0.9;
/** A frame that keeps more than this share of its length does not compress. */
const POOR_RATIO = 0.9;
/** The assumed speed of unpacking at the peer, in bytes per millisecond: the slowest one measured. */
const UNPACK_SPEED = 110_000;
/** The assumed ratio and speed before the first packed frame. A trial assumes this speed too. */
const FIRST = { ratio: 0.5, speed: 100_000 };
const HOPED_RATIO = 0.1;
/** Trying frames may take this share of the time that raw frames take on the link. */
const TRIAL_SHARE = 0.01;
/** Each frame that does not compress divides that share further, at most by this. */
const MOST_MISSES = 8;
/** The weight of the latest frame's ratio in the average. */
const WEIGHT = 0.3;
/**
 * The speed of packing is that of the fastest of so many frames. Other work of the machine, and code that is not
 * compiled yet, make some frames ten times slower or more. Nothing makes one faster.
 */
const SPEEDS = 4;

/** `try` packs a frame to learn its ratio and speed, within a budget of time. */
export type PackChoice = 'pack' | 'try' | 'raw';

interface Experience {
  /** Packed bytes per raw byte. */
  ratio: number;
  /** Bytes packed per millisecond, of the latest frames, oldest first. */
  readonly speeds: number[];
  /** Frames in a row that did not compress. */
  misses: number;
  /** Milliseconds that trials may still take. */
  credit: number;
}

/**
 * Decides which frames are packed: a frame is, if it then reaches the peer sooner. It knows the link's bandwidth,
 * and the ratio and speed of earlier frames. Data that does not compress is tried ever more rarely.
 *
 * Bandwidths are in bytes per millisecond, and undefined before one is measured. Times are in milliseconds.
 */
export class PackPolicy {
  readonly #mode: CompressionMode;
  readonly #small = newcomer();
  readonly #large = newcomer();

  constructor(mode: CompressionMode) {
    this.#mode = mode;
  }

  /** Chooses for a frame of so many bytes. Frames before it occupy the link for `queueMs`, which packing may use. */
  choose(length: number, bandwidth: number | undefined, queueMs = 0): PackChoice {
    if (length < LEAST_PACKED_BYTES) return 'raw';
    const seen = this.#of(length);
    if (this.#mode === 'on') return seen.misses === 0 ? 'pack' : this.#try(seen, length, bandwidth ?? SLOW);
    if (bandwidth === undefined) return 'raw';
    const speed = speedOf(seen);
    if (seen.misses === 0 && pays(length, bandwidth, { ratio: seen.ratio, speed }, queueMs)) return 'pack';
    // Packing may be fast again. Without a trial now and then, the policy would never learn it.
    const hoped = { ratio: Math.min(seen.ratio, HOPED_RATIO), speed: Math.max(speed, FIRST.speed) };
    return pays(length, bandwidth, hoped, queueMs) ? this.#try(seen, length, bandwidth) : 'raw';
  }

  /**
   * A frame was packed. Returns whether to send it packed. The time for packing is spent, so only the remaining time
   * counts.
   */
  packed(length: number, packedLength: number, ms: number, bandwidth: number | undefined): boolean {
    const seen = this.#of(length);
    const ratio = packedLength / length;
    // After a miss the data may be of another kind, and an average would hide it.
    const weight = seen.misses > 0 ? 1 : WEIGHT;
    seen.ratio += weight * (ratio - seen.ratio);
    seen.speeds.push(length / Math.max(ms, 0.001));
    if (seen.speeds.length > SPEEDS) seen.speeds.shift();
    seen.misses = ratio > POOR_RATIO ? Math.min(seen.misses + 1, MOST_MISSES) : 0;
    if (ratio > POOR_RATIO) return false;
    if (this.#mode === 'on') return true;
    return bandwidth !== undefined && pays(length, bandwidth, { ratio, speed: Number.POSITIVE_INFINITY });
  }

  #of(length: number): Experience {
    return length <= SMALL_BYTES ? this.#small : this.#large;
  }

  #try(seen: Experience, length: number, bandwidth: number): PackChoice {
    const cost = length / speedOf(seen);
    // The credit grows to the cost of the next trial at most.
    seen.credit = Math.min(
      seen.credit + (TRIAL_SHARE / Math.max(seen.misses, 1)) * (length / bandwidth),
      cost,
    );
    if (seen.credit < cost) return 'raw';
    seen.credit = 0;
    return 'try';
  }
}

function newcomer(): Experience {
  return { ratio: FIRST.ratio, speeds: [], misses: 0, credit: 0 };
}

function speedOf({ speeds }: Experience): number {
  return speeds.length > 0 ? Math.max(...speeds) : FIRST.speed;
}

/** The assumed bandwidth of an unknown link if the client asked for packing: 100 Mbit/s. */
const SLOW = 12_500;

/** Whether a packed frame arrives sooner than a raw one, by a margin. Frames before it occupy the link for `queueMs`. */
export function pays(
  length: number,
  bandwidth: number,
  { ratio, speed }: { ratio: number; speed: number },
  queueMs = 0,
): boolean {
  const raw = length / bandwidth;
  const packing = Math.max(0, length / speed - queueMs);
  return packing + (ratio * length) / bandwidth + length / UNPACK_SPEED < MARGIN * raw;
}
