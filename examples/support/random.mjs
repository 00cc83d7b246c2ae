/**
 * Numbers from -0.5 to 0.5, always the same for the same seed, in steps that single precision can represent.
 */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 12) / 2 ** 20 - 0.5;
  };
}

/** `length` of them, in single precision. */
export function randomArray(length, seed, scale = 1) {
  const random = randomNumbers(seed);
  return Float32Array.from({ length }, () => random() * scale);
}
