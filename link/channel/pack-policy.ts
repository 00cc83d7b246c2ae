import type { CompressionMode } from '../../proto/session/compression.js';

/** A shorter frame is never packed: what it saves is less than a packet of the network. */
export const LEAST_PACKED_BYTES = 512;
/** Commands and uploads differ: frames up to this many bytes are one class, longer ones another. */
const SMALL_BYTES = 16 << 10;
/** Packing has to promise this share of the raw frame's time at most. */
const MARGIN = 0.9;
/** A frame that packs to more of itself than this is one that does not compress. */
const POOR_RATIO = 0.9;
/** What unpacking is taken to cost the peer, in bytes per millisecond: the slowest that was measured. */
const UNPACK_SPEED = 110_000;
/** Before anything was packed, and what it has to be to be tried at all. */
const FIRST = { ratio: 0.5, speed: 100_000 };
const HOPED_RATIO = 0.1;
/** Trying frames may take this share of the time that raw frames take on the link. */
const TRIAL_SHARE = 0.01;
/** It falls with each frame in vain, to this part of it at most. */
const MOST_MISSES = 8;
/** How much the latest frame's ratio says of the next one's. */
const WEIGHT = 0.3;
/**
 * Of so many packed frames the fastest says how fast packing is: other work of the machine, and code that has not
 * been compiled yet, make one slower by ten times and more, and nothing makes one faster.
 */
const SPEEDS = 4;

/** `try` packs a frame to learn what that brings, within a budget of time. */
export type PackChoice = 'pack' | 'try' | 'raw';

interface Experience {
  /** Packed bytes per byte. */
  ratio: number;
  /** Bytes packed per millisecond, of the latest frames, oldest first. */
  readonly speeds: number[];
  /** Frames in a row that did not compress. */
  misses: number;
  /** Milliseconds that trying may still take. */
  credit: number;
}

/**
 * Decides which frames are packed: those that reach the peer sooner for it, by the link's bandwidth and by what
 * packing the frames before has cost and brought. Data that does not compress is tried ever more rarely.
 *
 * Bandwidths are in bytes per millisecond, undefined where none was measured yet; times in milliseconds.
 */
export class PackPolicy {
  readonly #mode: CompressionMode;
  readonly #small = newcomer();
  readonly #large = newcomer();

  constructor(mode: CompressionMode) {
    this.#mode = mode;
  }

  /** What to do with a frame of so many bytes, behind others that take the link for so long: packing may take that. */
  choose(length: number, bandwidth: number | undefined, queueMs = 0): PackChoice {
    if (length < LEAST_PACKED_BYTES) return 'raw';
    const seen = this.#of(length);
    if (this.#mode === 'on') return seen.misses === 0 ? 'pack' : this.#try(seen, length, bandwidth ?? SLOW);
    if (bandwidth === undefined) return 'raw';
    const speed = speedOf(seen);
    if (seen.misses === 0 && pays(length, bandwidth, { ratio: seen.ratio, speed }, queueMs)) return 'pack';
    // What made packing slow may be over: without this hope it would never be seen.
    const hoped = { ratio: Math.min(seen.ratio, HOPED_RATIO), speed: Math.max(speed, FIRST.speed) };
    return pays(length, bandwidth, hoped, queueMs) ? this.#try(seen, length, bandwidth) : 'raw';
  }

  /**
   * A frame was packed. Returns whether it is to be sent so: the time for packing it is spent, and what counts
   * is what is left to do.
   */
  packed(length: number, packedLength: number, ms: number, bandwidth: number | undefined): boolean {
    const seen = this.#of(length);
    const ratio = packedLength / length;
    // From a trial the class may be another than before, which an average would hide.
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
    // No more is saved up than the next trial takes.
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

/** What is assumed of a link that nothing is known of, where packing was asked for: 100 Mbit/s. */
const SLOW = 12_500;

/** Whether a packed frame arrives sooner than a raw one, by a margin, behind others that take the link for so long. */
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
