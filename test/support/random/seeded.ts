/** Random numbers that a seed repeats (mulberry32): each call gives one from 0 to below 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number from `least` to `most`, small ones far more often. */
export function logUniform(random: () => number, least: number, most: number): number {
  return Math.round(Math.exp(Math.log(least) + random() * (Math.log(most) - Math.log(least))));
}
